/** The keys of a call: space mutes, Esc hangs up. */

import type { Call } from "./call";

/** Elements that handle the space key themselves. */
const USES_SPACE = "input, select, textarea, button, summary, a";

export function handleKey(call: Call, event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (event.key === " " && call.active && !target.closest(USES_SPACE)) {
    event.preventDefault();
    if (!event.repeat) call.mute(!call.muted);
  } else if (event.key === "Escape" && call.active) {
    // In a field, the first Esc leaves the field; only the next one hangs up.
    const field = target.closest<HTMLElement>("input, select");
    if (field) field.blur();
    else call.hangUp();
  }
}
