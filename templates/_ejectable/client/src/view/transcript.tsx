/** The transcript, with the latency of each answer. */

import { useLayoutEffect, useRef } from "preact/hooks";
import type { Conversation, Line, Turn } from "../conversation";

const NAMES = { you: "You", agent: "Agent", note: "" };

/** Distance from the end, in pixels, within which the view scrolls along. */
const NEAR_END = 80;

interface Properties {
  conversation: Conversation;
  active: boolean;
}

export function Transcript({ conversation, active }: Properties) {
  const view = useRef<HTMLElement>(null);
  const atEnd = useRef(true);
  const { lines, pending, turns } = conversation;
  useLayoutEffect(() => {
    if (atEnd.current) view.current?.scrollTo({ top: view.current.scrollHeight });
  });
  const onScroll = ({
    currentTarget: { scrollHeight, scrollTop, clientHeight },
  }: {
    currentTarget: HTMLElement;
  }) => {
    atEnd.current = scrollHeight - scrollTop - clientHeight < NEAR_END;
  };
  return (
    <section class="transcript" aria-label="Transcript" ref={view} onScroll={onScroll} tabIndex={0}>
      {/* Screen readers get only final lines; pending ones still change. */}
      <div role="log" aria-live="polite">
        <ol>
          {lines.map((line) => (
            <TranscriptLine key={line.key} line={line} turn={turns[(line.turn ?? 0) - 1]} />
          ))}
        </ol>
      </div>
      <ol class="pending" aria-hidden="true">
        {pending.map((line) => (
          <TranscriptLine key={line.key} line={line} turn={turns[(line.turn ?? 0) - 1]} />
        ))}
      </ol>
      {active && conversation.thinking && <p class="thinking">…</p>}
    </section>
  );
}

function TranscriptLine({ line, turn }: { line: Line; turn: Turn | undefined }) {
  return (
    <li class={`line ${line.who}`}>
      <span class="who">{NAMES[line.who]}</span>
      <div class="said">
        {line.text}
        {line.interrupted && <em class="cut">interrupted</em>}
        {turn && <Latency turn={turn} />}
      </div>
    </li>
  );
}

/** The latency of the answer, and its parts. */
function Latency({ turn }: { turn: Turn }) {
  const seconds = `${(turn.ms / 1000).toFixed(2)} s`;
  if (turn.parts.length === 0) return <span class="latency">{seconds}</span>;
  return (
    <details class="latency">
      <summary aria-label={`Latency ${seconds}, show its parts`}>{seconds}</summary>
      <ul>
        {turn.parts.map(({ name, ms }) => (
          <li key={name}>{`${name} ${Math.round(ms)} ms`}</li>
        ))}
      </ul>
    </details>
  );
}
