// Talking with the stand-in: reading, doing, and listening for changes.

export async function load(path, query) {
  const reply = await fetch(`/workspace${path}?${new URLSearchParams(query)}`);
  if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
  return reply.json();
}

const WORDS = {
  app_did_not_answer: "The app did not answer. Is integration-dispatcher running?",
  no_text: "Write something first.",
  not_in_channel: "You are not in this channel.",
};

export async function act(what, body) {
  try {
    const reply = await fetch(`/workspace/${what}`, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
    });
    const answer = await reply.json();
    if (reply.ok) return answer;
    return { ok: false, error: WORDS[answer.error] ?? `It did not work: ${answer.error ?? reply.status}` };
  } catch {
    return { ok: false, error: "The stand-in does not answer. Is it still running?" };
  }
}

// Returns a function that ends the listening. `ready` is called at each (re)connection.
export function listen(person, handlers) {
  const source = new EventSource(`/workspace/changes?${new URLSearchParams({ person })}`);
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  }
  return () => source.close();
}
