// The map: Leaflet over the unit square of a root, its tiles painted from samples at hand.

import { paint } from "./paint.js";
import { PLANE, Root } from "./place.js";

const L = globalThis.L;
const TILE_PX = 256; // at zoom z one such tile is 1 / 2^z of the plane: 8 pixels from sample to sample of level z
const OVERLAP_PX = 1; // browsers round the edges of scaled tiles: without this, hairlines show between them

// A map leaves its root once it is this many doublings below it, at a pixel of 2 ** -38 of it, and takes one this far above
// what it shows: near enough for doubles, far enough not to come back soon. Above a root nothing can be shown, so on the
// way out it is left before it fills the screen.
const MOST_LOCAL = 30;
const FRESH_LOCAL = 16;
const LEAST_LOCAL = 6;

const BEYOND = 0.6; // one may look this far beyond the plane's edges, in planes

/** lat and lng are the root's own coordinates: y up, x right, 0 to 1; on the plane itself, the plane's. */
const UNIT_SQUARE = L.extend({}, L.CRS.Simple, { transformation: new L.Transformation(TILE_PX, 0, -TILE_PX, TILE_PX) });

/** app: with what it looks at, and a `ground` whose root the map stands on. */
export function makeMap(element, app) {
  const { colours, look } = app;
  const map = L.map(element, {
    crs: UNIT_SQUARE,
    zoomSnap: 0, // a keyframe fills its frame exactly
    wheelPxPerZoomLevel: 90,
    minZoom: 0,
    maxZoom: MOST_LOCAL,
    maxBounds: around(PLANE.bounds, BEYOND),
    maxBoundsViscosity: 0.6,
    attributionControl: false,
    boxZoom: true,
    zoomControl: false,
    keyboardPanDelta: 120,
  });
  L.control.zoom({ position: "topright" }).addTo(map);
  map.on("zoomend zoomlevelschange", () => tellWhyNot(element));
  map.setView([0.5, 0.5], 1);

  const Layer = L.GridLayer.extend({
    createTile(coords) {
      const canvas = L.DomUtil.create("canvas", "plane-tile");
      canvas.width = canvas.height = TILE_PX + OVERLAP_PX;
      this.paintTile(canvas, coords);
      return canvas;
    },

    _initTile(tile) {
      L.GridLayer.prototype._initTile.call(this, tile);
      tile.style.width = tile.style.height = `${TILE_PX + OVERLAP_PX}px`;
    },

    paintTile(canvas, { x, y, z }) {
      const count = 2 ** z;
      const side = (1 + OVERLAP_PX / TILE_PX) / count;
      // The tile's upper left corner is its address; the overlap goes right and down.
      const view = { x0: x / count, y0: (count - y - 1 - OVERLAP_PX / TILE_PX) / count, width: side, height: side };
      const { ground } = app;
      const finest = finestLevel(z + ground.root.level, look) - ground.root.level;
      paint(canvas, view, ground, colours, finest, { smooth: look.smoothing, background: look.background });
    },

    /** Repaint what shows a tile of samples; everything, if no tile is given. */
    repaint(changed) {
      changed = changed?.map((tile) => app.ground.root.tile(tile)).filter(Boolean);
      for (const { el, coords } of Object.values(this._tiles ?? {})) {
        if (!changed || overlaps(coords, changed)) this.paintTile(el, coords);
      }
    },
  });
  const layer = new Layer({ tileSize: TILE_PX, noWrap: true, bounds: around(PLANE.bounds, 0), keepBuffer: 1, updateWhenZooming: false });
  layer.addTo(map);
  return { map, layer };
}

/** Say in the tips of the two buttons why one of them cannot be used: Leaflet says only that it cannot. */
function tellWhyNot(element) {
  for (const [name, usual, reason] of [
    ["in", "Zoom in", "Zoom in: deeper than this there are no samples to show."],
    ["out", "Zoom out", "Zoom out: the whole plane is in view already."],
  ]) {
    const button = element.querySelector(`.leaflet-control-zoom-${name}`);
    button.title = button.ariaLabel = button.classList.contains("leaflet-disabled") ? reason : usual;
  }
}

/** A plane's edges as Leaflet takes them, moved out by a share of the plane. */
function around({ x0, y0, x1, y1 }, share) {
  const aside = share * (x1 - x0);
  // Far edges need not be right, but pixels there must be numbers.
  const near = (v) => Math.min(Math.max(v, -1e6), 1e6);
  return L.latLngBounds([near(y0 - aside), near(x0 - aside)], [near(y1 + aside), near(x1 + aside)]);
}

/** Whether a root will do for a view of a zoom of the plane: its centre in the root's units. */
function fits(root, { x, y }, zoom) {
  const local = zoom - root.level;
  if (local > MOST_LOCAL) return false;
  return root.level === 0 || local >= LEAST_LOCAL && [x, y].every((at) => at > -1 && at < 2);
}

/** The root for a place at a zoom of the plane: the one at hand while it will do. */
export function rootFor(place, zoom, root) {
  return fits(root, root.local(place), zoom) ? root : Root.at(Math.max(0, Math.floor(zoom) - FRESH_LOCAL), place);
}

/** Let a map stand on the root that its app has now, be it another one or not, and show a place at a zoom of the plane. */
export function stand({ map, layer, ground: { root }, deepestZoom }, place, zoom, another) {
  const { x, y } = root.local(place);
  map.options.maxBounds = around(root.bounds, BEYOND);
  map.options.maxZoom = Math.min(MOST_LOCAL + 10, deepestZoom - root.level);
  layer.options.bounds = around(root.bounds, 0);
  // The same picture by other numbers: nothing is to fade in.
  const fades = map._fadeAnimated;
  map._fadeAnimated = false;
  map.setView([y, x], zoom - root.level, { animate: false });
  if (another) layer.redraw();
  map._fadeAnimated = fades;
}

/** The finest level that a map at a zoom of the plane shows: 3 below it at one sample per pixel. */
export function finestLevel(zoom, look) {
  return Math.max(0, Math.min(Math.floor(zoom + 3 + Math.log2(look.detail) + 0.5), look.deepestLevel));
}

function overlaps({ x, y, z }, changed) {
  const count = 2 ** z;
  const iy = count - 1 - y;
  for (const tile of changed) {
    const ratio = 2 ** (tile.level - z); // tiles of samples along a tile of the map
    // A sample's square reaches half a sample beyond its tile: one tile more on the low sides.
    if (tile.ix + 1 >= x * ratio && tile.ix - 1 <= (x + 1) * ratio && tile.iy + 1 >= iy * ratio && tile.iy - 1 <= (iy + 1) * ratio)
      return true;
  }
  return false;
}

/** What a map shows: its centre, zoom and width in units of the plane, its pixels; and `local` in units of its root. */
export function viewOf(map, root) {
  const { lng: x, lat: y } = map.getCenter();
  const size = map.getSize();
  const local = { x, y, width: size.x / TILE_PX / 2 ** map.getZoom() };
  return {
    ...root.plain(local),
    zoom: map.getZoom() + root.level,
    width: local.width / 2 ** root.level,
    width_px: size.x,
    height_px: size.y,
    local,
  };
}

/** The zoom at which a width in units of the plane takes a number of pixels. */
export const zoomFor = (width, px) => Math.log2(px / TILE_PX / width);
