/** The transcript, with the latency of each answer. */

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Conversation, Line, Turn } from "../conversation";

const NAMES = { you: "You", agent: "Agent", note: "" };

/** Distance from the end, in pixels, within which the view scrolls along. */
const NEAR_END = 80;

interface Properties {
  conversation: Conversation;
  active: boolean;
  /** Whether tool calls and latency are shown. */
  details: boolean;
}

export function Transcript({ conversation, active, details }: Properties) {
  const view = useRef<HTMLElement>(null);
  const atEnd = useRef(true);
  const { lines, pending, turns } = conversation;
  const turnOf = ({ turn = 0 }: Line) => (details ? turns[turn - 1] : undefined);
  const keepEnd = () => {
    if (atEnd.current) view.current?.scrollTo({ top: view.current.scrollHeight });
  };
  useLayoutEffect(keepEnd);
  // The window is resized or turned, or a phone shows its keyboard.
  useEffect(() => {
    const resizing = new ResizeObserver(keepEnd);
    if (view.current) resizing.observe(view.current);
    return () => resizing.disconnect();
  }, []);
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
          {lines
            .filter((line) => details || !line.detail)
            .map((line) => (
              <TranscriptLine key={line.key} line={line} turn={turnOf(line)} />
            ))}
        </ol>
      </div>
      <ol class="pending" aria-hidden="true">
        {pending.map((line) => (
          <TranscriptLine key={line.key} line={line} turn={turnOf(line)} />
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
