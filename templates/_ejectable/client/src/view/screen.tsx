/** The screen: before a call, in it, and after it. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { Call } from "../call";
import type { Config, TransportName } from "../server";
import type { Trouble } from "../trouble";
import { Controls } from "./controls";
import { Ribbon } from "./ribbon";
import { Settings } from "./settings";
import { Status } from "./status";
import { Transcript } from "./transcript";
import { Advice, KeyForm } from "./trouble";

interface Properties {
  call: Call;
  config: Config | undefined;
  lost: Trouble | undefined;
  transport: TransportName;
  choose(name: TransportName): void;
}

export function Screen({ call, config, lost, transport, choose }: Properties) {
  const { active, dialogue, over } = call;
  const start = (silent?: boolean) => void call.start(transport, silent);
  const settings = <Settings call={call} config={config} transport={transport} choose={choose} />;
  const trouble = lost ?? call.trouble;
  return (
    <main class={active ? "screen in-call" : over ? "screen over" : "screen"}>
      <header>
        <h1>{config?.project ?? "\u00a0"}</h1>
        <Status call={call} transport={transport} />
      </header>
      {active && <Ribbon call={call} />}
      {(active || over) && <Transcript dialogue={dialogue} active={active} />}
      {!active && (
        <section class="welcome" aria-label="Start a call">
          {!over && (
            <>
              <Ribbon call={call} />
              <h2>{config ? `Talk to ${config.project}` : "One moment"}</h2>
              <p>Just speak, as on the phone. Interrupt whenever you like, or type.</p>
            </>
          )}
          {trouble && <Advice trouble={trouble} joinSilently={() => start(true)} />}
          {config && !call.invite && <KeyForm enter={(key) => call.useInvite(key)} />}
          {config && call.invite && (
            <StartButton trouble={call.trouble} again={over} start={() => start()} />
          )}
          {config && settings}
        </section>
      )}
      {active && <Controls call={call}>{settings}</Controls>}
    </main>
  );
}

interface StartProperties {
  trouble: Trouble | undefined;
  again: boolean;
  start(): void;
}

function StartButton({ trouble, again, start }: StartProperties) {
  const button = useRef<HTMLButtonElement>(null);
  // What was pressed to end the call is gone, and with it the focus of who uses a keyboard.
  useEffect(() => {
    if (again) button.current?.focus({ preventScroll: true });
  }, [again]);
  const [wait, setWait] = useState(0);
  useEffect(() => {
    setWait(trouble?.wait ?? 0);
    if (!trouble?.wait) return;
    const timer = setInterval(() => setWait((seconds) => Math.max(0, seconds - 1)), 1000);
    return () => clearInterval(timer);
  }, [trouble]);
  const label = again || trouble ? "Call again" : "Start the call";
  return (
    <button type="button" class="primary" onClick={start} disabled={wait > 0} ref={button}>
      {wait > 0 ? `Call again in ${wait} s` : label}
    </button>
  );
}
