/** An error message with its remedy, and the form for an access key. */

import { useRef } from "preact/hooks";
import type { Problem } from "../problem";

interface ProblemProperties {
  problem: Problem;
  startSilently(): void;
}

export function ProblemMessage({ problem, startSilently }: ProblemProperties) {
  return (
    <div class="problem" role="alert">
      <strong>{problem.title}</strong>
      <p>{problem.advice}</p>
      {problem.remedy === "no-microphone" && (
        <button type="button" class="link" onClick={startSilently}>
          Join without a microphone and type
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
        <input
          ref={key}
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          pattern=".*\S.*"
          title="Enter the key, or open an invite link."
        />
      </label>
      <button type="submit" class="primary">
        Continue
      </button>
    </form>
  );
}
