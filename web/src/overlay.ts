// The statistics panel: a waterfall of the frame's stages and a few figures, drawn once a second while it is open.

import type { Size } from "./fit";
import type { Hello, PathReport } from "./gen/farpane_pb";
import { type BrowserCounts, STAGES, type Summary } from "./stats";

/** What a drawing of the panel shows. */
export interface Figures {
  readonly summary: Summary;
  readonly counts: BrowserCounts;
  /** The counts of one drawing ago and the seconds since, for rates. */
  readonly before: BrowserCounts;
  readonly seconds: number;
  readonly hello?: Hello;
  readonly path?: PathReport;
  readonly picture: Size;
}

interface Row {
  readonly bar: HTMLElement;
  readonly value: HTMLElement;
}

export class Overlay {
  readonly #stages: Row[];
  readonly #figures = new Map<string, HTMLElement>();
  readonly #list: HTMLElement;

  constructor(panel: HTMLElement) {
    const waterfall = element("div", "waterfall");
    this.#stages = STAGES.map((stage) => {
      const track = element("span", "track");
      const row = { bar: element("span", "bar"), value: element("span", "value") };
      track.append(row.bar);
      waterfall.append(element("span", "name", stage), track, row.value);
      return row;
    });
    this.#list = element("dl", "figures");
    panel.replaceChildren(waterfall, this.#list);
  }

  draw({ summary, counts, before, seconds, hello, path, picture }: Figures): void {
    this.#drawWaterfall(summary.stages);
    const packets = counts.packets - before.packets;
    const lost = counts.lost - before.lost;
    const loss = packets + lost > 0 ? (100 * lost) / (packets + lost) : 0;
    const rtt = path && path.rttUs > 0 ? path.rttUs / 1000 : counts.rttMs;
    this.#set("delay p50 / p95", `${ms(summary.delayP50)} / ${ms(summary.delayP95)} ms`);
    this.#set("frames/s", summary.fps.toFixed(1));
    this.#set("Mb/s", (((counts.bytes - before.bytes) * 8) / 1e6 / seconds).toFixed(2));
    this.#set("estimate", path ? `${(path.estimateKbps / 1000).toFixed(1)} Mb/s` : "–");
    this.#set("picture", `${picture.width} × ${picture.height}`);
    this.#set("codec", [hello?.codec, hello?.encoder].filter(Boolean).join(", ") || "–");
    this.#set("chosen as", hello?.reason || "–");
    this.#set("quantizer", summary.quantizer ? String(summary.quantizer) : "–");
    this.#set("decode", `${ms(summary.decodeP50)} ms`);
    this.#set("dropped, freezes", `${counts.dropped}, ${counts.freezes}`);
    this.#set("loss", `${loss.toFixed(1)} %`);
    this.#set(
      "resent, parity",
      path ? `${(path.resentKbps / 1000).toFixed(2)}, ${(path.parityKbps / 1000).toFixed(2)} Mb/s` : "–",
    );
    this.#set("round trip", rtt === undefined ? "–" : `${rtt.toFixed(1)} ms`);
    this.#set("route", path?.route || counts.route || "–");
  }

  /** Bars start where the stage before ended, as shares of the whole way. */
  #drawWaterfall(stages: readonly number[]): void {
    const total = stages.reduce((sum, stage) => sum + stage, 0);
    let start = 0;
    this.#stages.forEach((row, index) => {
      const stage = stages[index];
      row.value.textContent = ms(stage);
      row.bar.style.marginLeft = `${total > 0 ? (100 * start) / total : 0}%`;
      row.bar.style.width = `${total > 0 ? (100 * (stage ?? 0)) / total : 0}%`;
      start += stage ?? 0;
    });
  }

  #set(name: string, text: string): void {
    let value = this.#figures.get(name);
    if (value === undefined) {
      value = element("dd", "");
      this.#figures.set(name, value);
      this.#list.append(element("dt", "", name), value);
    }
    value.textContent = text;
  }
}

function ms(us: number | undefined): string {
  return us === undefined ? "–" : (us / 1000).toFixed(1);
}

function element(tag: string, className: string, text = ""): HTMLElement {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}
