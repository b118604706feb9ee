/** The conversation as a ribbon of sound: the agent above the line, the user below, now at the right.
 * The gap between one's end and the other's beginning is the time that one waited. */

import { useEffect, useRef } from "preact/hooks";
import type { Call } from "../call";
import { type Column, Levels } from "../levels";

/** Pixels: a bar, the way from one to the next, and the gap in the middle. */
const BAR = 3;
const STEP = 6;
const GAP = 3;
/** As fine as eyes follow it; more would only warm a phone. */
const FRAME_MS = 30;

export function Ribbon({ call }: { call: Call }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const target = canvas.current as HTMLCanvasElement;
    const still = matchMedia("(prefers-reduced-motion: reduce)");
    let before = 0;
    let shown = -1;
    let frame = requestAnimationFrame(function next(now) {
      frame = requestAnimationFrame(next);
      if (now - before < FRAME_MS || (still.matches && shown === call.levels.at)) return;
      before = now;
      shown = call.levels.at;
      draw(target, call, still.matches);
    });
    return () => cancelAnimationFrame(frame);
  }, [call]);
  const { dialogue, muted, listening, phase } = call;
  const you = !listening ? "no microphone" : muted ? "You, muted" : "You";
  const side = (speaking: boolean) => (speaking ? "side speaking" : "side");
  return (
    <div class={call.active ? "ribbon" : "ribbon asleep"}>
      <canvas ref={canvas} aria-hidden="true" />
      {phase === "live" && (
        <div class="sides">
          <span class={side(dialogue.botSpeaking)}>Agent</span>
          <span class={side(dialogue.userSpeaking)}>{you}</span>
        </div>
      )}
    </div>
  );
}

function draw(canvas: HTMLCanvasElement, call: Call, still: boolean): void {
  const { clientWidth: width, clientHeight: height } = canvas;
  const paper = canvas.getContext("2d") as CanvasRenderingContext2D;
  const [w, h] = [Math.round(width * devicePixelRatio), Math.round(height * devicePixelRatio)];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  paper.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  paper.clearRect(0, 0, width, height);
  paper.lineCap = "round";
  paper.lineWidth = BAR;
  const style = getComputedStyle(canvas);
  const [accent, ink, faint] = ["--accent", "--ink", "--line"].map((name) =>
    style.getPropertyValue(name),
  ) as [string, string, string];
  const middle = height / 2;
  const reach = middle - BAR - GAP;
  const bar = (colour: string, x: number, from: number, to: number) => {
    paper.strokeStyle = colour;
    paper.beginPath();
    paper.moveTo(x, from);
    paper.lineTo(x, to);
    paper.stroke();
  };
  const { columns, at } = call.levels;
  const time = still ? 0 : performance.now();
  // A column glides to its place while the next one is heard.
  const glide = still || !call.active ? 0 : Math.min(1, (time - at) / Levels.COLUMN_MS) * STEP;
  for (let x = width - BAR - glide, index = -1; x > 0; x -= STEP, index--) {
    const column = call.active ? columns.at(index) : asleep(x / width, time / 1000);
    const heard = (column?.heard ?? 0) * reach;
    const said = (column?.said ?? 0) * reach;
    paper.globalAlpha = fading(x / width, call.active);
    if (heard > 0.5) bar(accent, x, middle - GAP, middle - GAP - heard);
    if (said > 0.5) bar(ink, x, middle + GAP, middle + GAP + said);
    if (heard <= 0.5 && said <= 0.5) bar(faint, x, middle - 0.01, middle + 0.01);
  }
}

/** What is long ago fades away at the left; what comes just now comes softly. */
function fading(place: number, active: boolean): number {
  const left = Math.min(1, place * 3);
  return active ? Math.min(left, (1 - place) * 60) : Math.min(left, (1 - place) * 3);
}

/** Two who talk in turns, as long as nobody does: slow waves, the one after the other. */
function asleep(place: number, seconds: number): Column {
  const wave = (shift: number) => {
    const turn = Math.max(0, Math.sin(2 * Math.PI * (1.5 * place - seconds / 14) + shift));
    const words = 0.55 + 0.45 * Math.sin(43 * place + shift) * Math.sin(19 * place - seconds / 3);
    return 0.8 * turn * words;
  };
  return { heard: wave(0), said: wave(Math.PI) };
}
