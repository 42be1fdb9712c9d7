// The map: Leaflet over the unit square, its tiles painted from samples at hand.

import { paint } from "./paint.js";

const L = globalThis.L;
const TILE_PX = 256; // at zoom z one such tile is 1 / 2^z of the plane: 8 pixels from sample to sample of level z
const OVERLAP_PX = 1; // browsers round the edges of scaled tiles: without this, hairlines show between them

/** lat and lng are the plane's own coordinates: y up, x right, 0 to 1. */
const UNIT_SQUARE = L.extend({}, L.CRS.Simple, { transformation: new L.Transformation(TILE_PX, 0, -TILE_PX, TILE_PX) });

export function makeMap(element, { cache, colours, look }) {
  const map = L.map(element, {
    crs: UNIT_SQUARE,
    zoomSnap: 0, // a keyframe fills its frame exactly
    wheelPxPerZoomLevel: 90,
    minZoom: 0,
    maxZoom: 45,
    maxBounds: [[-0.6, -0.6], [1.6, 1.6]],
    maxBoundsViscosity: 0.6,
    attributionControl: false,
    boxZoom: true,
    zoomControl: false,
    keyboardPanDelta: 120,
  });
  L.control.zoom({ position: "topright" }).addTo(map);
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
      paint(canvas, view, cache, colours, finestLevel(z, look), { smooth: look.smoothing, background: look.background });
    },

    /** Paint anew what shows a tile of samples; all, if none is given. */
    repaint(changed) {
      for (const { el, coords } of Object.values(this._tiles ?? {})) {
        if (!changed || overlaps(coords, changed)) this.paintTile(el, coords);
      }
    },
  });
  const layer = new Layer({ tileSize: TILE_PX, noWrap: true, bounds: [[0, 0], [1, 1]], keepBuffer: 1, updateWhenZooming: false });
  layer.addTo(map);
  return { map, layer };
}

/** The finest level that a map at a zoom shows: 3 below it at one sample per pixel. */
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

/** What a map shows: its centre, its width in units of the plane, its pixels. */
export function viewOf(map) {
  const centre = map.getCenter();
  const size = map.getSize();
  return {
    x: centre.lng,
    y: centre.lat,
    zoom: map.getZoom(),
    width: size.x / TILE_PX / 2 ** map.getZoom(),
    width_px: size.x,
    height_px: size.y,
  };
}

/** The zoom at which a width in units of the plane takes a number of pixels. */
export const zoomFor = (width, px) => Math.log2(px / TILE_PX / width);
