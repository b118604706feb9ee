/** What went wrong, what to do, and the form for an access key. */

import { useRef } from "preact/hooks";
import type { Trouble } from "../trouble";

export function Advice({ trouble, joinSilently }: { trouble: Trouble; joinSilently(): void }) {
  return (
    <div class="advice" role="alert">
      <strong>{trouble.title}</strong>
      <p>{trouble.advice}</p>
      {trouble.remedy === "silent" && (
        <button type="button" class="link" onClick={joinSilently}>
          Join without a microphone, and type
        </button>
      )}
    </div>
  );
}

export function KeyForm({ enter }: { enter(key: string): void }) {
  const key = useRef<HTMLInputElement>(null);
  const submit = (event: Event) => {
    event.preventDefault();
    const value = key.current?.value.trim();
    if (value) enter(value);
  };
  return (
    <form class="key" onSubmit={submit}>
      <label>
        <span>Access key</span>
        <input ref={key} type="password" autocomplete="off" spellcheck={false} required />
      </label>
      <button type="submit" class="primary">
        Continue
      </button>
    </form>
  );
}
