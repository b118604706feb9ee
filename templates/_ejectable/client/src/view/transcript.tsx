/** Who said what, and how long each answer took. */

import { useLayoutEffect, useRef } from "preact/hooks";
import type { Dialogue, Line, Turn } from "../dialogue";

const NAMES = { you: "You", agent: "Agent", note: "" };

/** Pixels from the end within which a reader is following the conversation. */
const NEAR = 80;

export function Transcript({ dialogue, active }: { dialogue: Dialogue; active: boolean }) {
  const view = useRef<HTMLElement>(null);
  const near = useRef(true);
  const { lines, live, turns } = dialogue;
  useLayoutEffect(() => {
    if (near.current) view.current?.scrollTo({ top: view.current.scrollHeight });
  });
  const follow = ({
    currentTarget: { scrollHeight, scrollTop, clientHeight },
  }: {
    currentTarget: HTMLElement;
  }) => {
    near.current = scrollHeight - scrollTop - clientHeight < NEAR;
  };
  return (
    <section class="transcript" aria-label="Transcript" ref={view} onScroll={follow} tabIndex={0}>
      {/* Only what is final is read aloud; what may still change is for eyes. */}
      <div role="log" aria-live="polite">
        <ol>
          {lines.map((line) => (
            <Said key={line.key} line={line} turn={turns[(line.turn ?? 0) - 1]} />
          ))}
        </ol>
      </div>
      <ol class="live" aria-hidden="true">
        {live.map((line) => (
          <Said key={line.key} line={line} turn={turns[(line.turn ?? 0) - 1]} />
        ))}
      </ol>
      {active && dialogue.thinking && <p class="thinking">…</p>}
    </section>
  );
}

function Said({ line, turn }: { line: Line; turn: Turn | undefined }) {
  return (
    <li class={`line ${line.who}`}>
      <span class="who">{NAMES[line.who]}</span>
      <div class="said">
        {line.text}
        {line.interrupted && <em class="cut">interrupted</em>}
        {turn && <Wait turn={turn} />}
      </div>
    </li>
  );
}

/** How long the answer took, and where the time went. */
function Wait({ turn }: { turn: Turn }) {
  const seconds = `${(turn.ms / 1000).toFixed(2)} s`;
  if (turn.parts.length === 0) return <span class="wait">{seconds}</span>;
  return (
    <details class="wait">
      <summary aria-label={`Answered after ${seconds}. Where the time went`}>{seconds}</summary>
      <ul>
        {turn.parts.map(({ name, ms }) => (
          <li key={name}>{`${name} ${Math.round(ms)} ms`}</li>
        ))}
      </ul>
    </details>
  );
}
