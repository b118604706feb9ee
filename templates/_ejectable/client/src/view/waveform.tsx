/** The conversation as a waveform: agent above the line, user below, the present at the right.
 * The gap between one side's end and the other's start is the latency. */

import { useEffect, useRef } from "preact/hooks";
import type { Call } from "../call";
import { type Column, Levels } from "../levels";

/** In pixels: width of a bar, distance between bars, gap at the middle line. */
const BAR = 3;
const STEP = 6;
const GAP = 3;
/** Time between frames: smooth enough, and easy on a phone's battery. */
const FRAME_MS = 30;

export function Waveform({ call }: { call: Call }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const target = canvas.current as HTMLCanvasElement;
    const reduced = matchMedia("(prefers-reduced-motion: reduce)");
    let before = 0;
    let shown = -1;
    let frame = requestAnimationFrame(function next(now) {
      frame = requestAnimationFrame(next);
      if (now - before < FRAME_MS || (reduced.matches && shown === call.levels.at)) return;
      before = now;
      shown = call.levels.at;
      draw(target, call, reduced.matches);
    });
    return () => cancelAnimationFrame(frame);
  }, [call]);
  const { conversation, muted, hasMicrophone, phase } = call;
  const you = !hasMicrophone ? "No microphone" : muted ? "You, muted" : "You";
  const side = (speaking: boolean) => (speaking ? "side speaking" : "side");
  return (
    <div class={call.active ? "waveform" : "waveform idle"}>
      <canvas ref={canvas} aria-hidden="true" />
      {phase === "live" && (
        <div class="sides">
          <span class={side(conversation.botSpeaking)}>Agent</span>
          <span class={side(conversation.userSpeaking)}>{you}</span>
        </div>
      )}
    </div>
  );
}

function draw(canvas: HTMLCanvasElement, call: Call, reducedMotion: boolean): void {
  const { clientWidth: width, clientHeight: height } = canvas;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  const [w, h] = [Math.round(width * devicePixelRatio), Math.round(height * devicePixelRatio)];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.lineCap = "round";
  context.lineWidth = BAR;
  const { stroke: accent, fill: ink, color: faint } = getComputedStyle(canvas);
  const middle = height / 2;
  const reach = middle - BAR - GAP;
  const bar = (color: string, x: number, from: number, to: number) => {
    context.strokeStyle = color;
    context.beginPath();
    context.moveTo(x, from);
    context.lineTo(x, to);
    context.stroke();
  };
  const { columns, at } = call.levels;
  const time = reducedMotion ? 0 : performance.now();
  // A column moves to its place while the next one is recorded.
  const shift =
    reducedMotion || !call.active ? 0 : Math.min(1, (time - at) / Levels.COLUMN_MS) * STEP;
  for (let x = width - BAR - shift, index = -1; x > 0; x -= STEP, index--) {
    const column = call.active ? columns.at(index) : idleColumn(x / width, time / 1000);
    const agent = (column?.agent ?? 0) * reach;
    const user = (column?.user ?? 0) * reach;
    context.globalAlpha = opacity(x / width, call.active);
    if (agent > 0.5) bar(accent, x, middle - GAP, middle - GAP - agent);
    if (user > 0.5) bar(ink, x, middle + GAP, middle + GAP + user);
    if (agent <= 0.5 && user <= 0.5) bar(faint, x, middle - 0.01, middle + 0.01);
  }
}

/** Fade out the past at the left, and fade in the present at the right. */
function opacity(place: number, active: boolean): number {
  const left = Math.min(1, place * 3);
  return active ? Math.min(left, (1 - place) * 60) : Math.min(left, (1 - place) * 3);
}

/** Animate the idle waveform: slow waves of two sides that take turns. */
function idleColumn(place: number, seconds: number): Column {
  const wave = (shift: number) => {
    const turn = Math.max(0, Math.sin(2 * Math.PI * (1.5 * place - seconds / 14) + shift));
    const words = 0.55 + 0.45 * Math.sin(43 * place + shift) * Math.sin(19 * place - seconds / 3);
    return 0.8 * turn * words;
  };
  return { agent: wave(0), user: wave(Math.PI) };
}
