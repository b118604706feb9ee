/** What lets this page ask for sessions: the invite in its address, or a key that was typed. */

const PLACE = "voice-invite";

/** The invite; it leaves the address at once, so that nobody reads it there or sends it on. */
export function takeInvite(): string {
  const fragment = location.hash.slice(1);
  if (fragment) {
    keepInvite(fragment);
    history.replaceState(history.state, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(PLACE) ?? "";
}

/** For as long as this tab lives. */
export function keepInvite(invite: string): void {
  sessionStorage.setItem(PLACE, invite);
}

export function forgetInvite(): void {
  sessionStorage.removeItem(PLACE);
}
