// Questions to the server that have one answer. Each carries the token; a fault becomes an Error with its text.

const token = document.querySelector('meta[name="token"]').content;

// The printed address holds the token. A cookie keeps it from here on, so that the address may be shared and saved.
if (location.search) history.replaceState(history.state, "", location.pathname + location.hash);

export class Fault extends Error {
  constructor(status, answer) {
    super(answer.fault || `the server answered ${status}`);
    this.status = status;
    this.answer = answer;
  }
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(`/api/${path}`, { ...options, headers: { ...options?.headers, "X-Render-Token": token } });
  } catch {
    throw new Fault(0, { fault: "The explorer's server does not answer." });
  }
  if (!response.ok) throw new Fault(response.status, await response.json().catch(() => ({})));
  return response;
}

const asJson = (body) => ({ method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

export const get = async (path, query = {}) => (await request(`${path}?${new URLSearchParams(query)}`)).json();
export const getBlob = async (path, query) => (await request(`${path}?${new URLSearchParams(query)}`)).blob();
export const post = async (path, body) => (await request(path, asJson(body))).json();
export const postFile = async (path, file) => (await request(path, { method: "POST", body: file })).json();

/** Post, and call `each` with every line of the answer as it comes. */
export async function postLines(path, body, each, signal) {
  const reader = (await request(path, { ...asJson(body), signal })).body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) each(JSON.parse(line));
  }
}

/** The live connection's socket. */
export const socket = () => new WebSocket(`ws://${location.host}/api/live`, ["render", token]);
