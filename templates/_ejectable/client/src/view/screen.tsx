/** The screen before, during and after a call. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { Call } from "../call";
import type { Problem } from "../problem";
import type { Config, TransportName } from "../server";
import { Controls } from "./controls";
import { KeyForm, ProblemMessage } from "./problem";
import { Settings } from "./settings";
import { Status } from "./status";
import { Transcript } from "./transcript";
import { Waveform } from "./waveform";

interface Properties {
  call: Call;
  config: Config | undefined;
  configProblem: Problem | undefined;
  transport: TransportName;
  choose(name: TransportName): void;
  /** The credential for calls; "" if there is none. */
  invite: string;
  useInvite(invite: string): void;
  details: boolean;
  chooseDetails(shown: boolean): void;
  /** Ask the server again for its config. */
  retry(): void;
}

export function Screen(properties: Properties) {
  const { call, config, configProblem, transport, invite, useInvite, details, retry } = properties;
  const { active, conversation, ended } = call;
  const start = (silent?: boolean) => void call.start(transport, silent);
  const settings = <Settings {...properties} />;
  const problem = configProblem ?? call.problem;
  return (
    <main class={active ? "screen in-call" : ended ? "screen ended" : "screen"}>
      <header>
        <h1>{config?.project ?? "\u00a0"}</h1>
        <Status call={call} transport={transport} details={details} />
      </header>
      {active && <Waveform call={call} />}
      {(active || ended) && (
        <Transcript conversation={conversation} active={active} details={details} />
      )}
      {!active && (
        <section class="welcome" aria-label="Start a call">
          {!ended && <Waveform call={call} />}
          {!ended && !configProblem && (
            <>
              <h2>{config ? `Talk to ${config.project}` : "One moment"}</h2>
              <p>Speak as on the phone. Interrupt at any time, or type.</p>
            </>
          )}
          {problem && <ProblemMessage problem={problem} startSilently={() => start(true)} />}
          {configProblem && <StartButton problem={configProblem} again={false} start={retry} />}
          {config && !invite && <KeyForm enter={useInvite} />}
          {config && invite && (
            <StartButton problem={call.problem} again={ended} start={() => start()} />
          )}
          {config && settings}
        </section>
      )}
      {active && <Controls call={call}>{settings}</Controls>}
    </main>
  );
}

interface StartProperties {
  problem: Problem | undefined;
  again: boolean;
  start(): void;
}

export function StartButton({ problem, again, start }: StartProperties) {
  const button = useRef<HTMLButtonElement>(null);
  // The hang-up button is gone, and keyboard users would lose their focus with it.
  useEffect(() => {
    if (again) button.current?.focus({ preventScroll: true });
  }, [again]);
  const [wait, setWait] = useState(0);
  useEffect(() => {
    setWait(problem?.wait ?? 0);
    if (!problem?.wait) return;
    const timer = setInterval(() => setWait((seconds) => Math.max(0, seconds - 1)), 1000);
    return () => clearInterval(timer);
  }, [problem]);
  const label = problem ? "Try again" : again ? "Call again" : "Start the call";
  return (
    <button type="button" class="primary" onClick={start} disabled={wait > 0} ref={button}>
      {wait > 0 ? `${label} in ${wait} s` : label}
    </button>
  );
}
