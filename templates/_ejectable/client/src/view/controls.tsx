/** The controls of a call: mute, type, settings, hang up. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Call } from "../call";
import * as icons from "./icons";

export function Controls({ call, children }: { call: Call; children: ComponentChildren }) {
  const mute = useRef<HTMLButtonElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const { muted, hasMicrophone, phase } = call;
  const live = phase === "live";
  // The start button is gone, and keyboard users would lose their focus with it.
  useEffect(() => mute.current?.focus({ preventScroll: true }), []);
  const send = (event: Event) => {
    event.preventDefault();
    const text = input.current?.value.trim();
    if (!input.current || !text || !live) return;
    call.type(text);
    input.current.value = "";
  };
  return (
    <footer class="controls">
      {call.problem && (
        <p class="hint" role="alert">
          {call.problem.title}. {call.problem.advice}
        </p>
      )}
      {call.paused && (
        <p class="hint" role="alert">
          The browser has paused the sound.{" "}
          <button type="button" class="link" onClick={() => call.resumeSound()}>
            Turn it on
          </button>
        </p>
      )}
      <div class="bar">
        <button
          type="button"
          class="round mute"
          aria-pressed={muted}
          aria-keyshortcuts="Space"
          aria-label="Mute"
          title={muted ? "Unmute (space)" : "Mute (space)"}
          aria-disabled={!hasMicrophone} // not `disabled`, which would take no focus
          onClick={() => call.mute(!muted)}
          ref={mute}
        >
          {muted || !hasMicrophone ? icons.muted : icons.microphone}
        </button>
        <form class="type" onSubmit={send}>
          <input
            ref={input}
            aria-label="Type instead of speaking"
            placeholder={live ? "Type a message" : "One moment…"}
            autocomplete="off"
            enterkeyhint="send"
            maxLength={4000}
          />
          <button type="submit" aria-label="Send" title="Send" disabled={!live}>
            {icons.send}
          </button>
        </form>
        {children}
        <button
          type="button"
          class="round hang-up"
          aria-keyshortcuts="Escape"
          aria-label="Hang up"
          title="Hang up (Esc)"
          onClick={() => call.hangUp()}
        >
          {icons.hangUp}
        </button>
      </div>
    </footer>
  );
}
