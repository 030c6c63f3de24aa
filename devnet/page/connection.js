// Talk to the server: one event stream that comes back by itself, and small JSON requests.

const PATIENCE = 25_000;

export async function post(path, body) {
  const response = await fetch(`/control/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? `the server answered ${response.status}`);
  return answer;
}

export function listen(onEvent, onState) {
  let source = null;
  let heard = Date.now();
  let wait = 500;

  function open() {
    onState("connecting");
    source = new EventSource("/control/events");
    source.onmessage = (message) => {
      heard = Date.now();
      wait = 500;
      onState("online");
      onEvent(JSON.parse(message.data));
    };
    source.onerror = () => again();
  }

  function again() {
    source.close();
    onState("offline");
    setTimeout(open, wait);
    wait = Math.min(wait * 2, 4000);
  }

  setInterval(() => {
    if (source.readyState === EventSource.OPEN && Date.now() - heard > PATIENCE) again();
  }, 2000);
  open();
}
