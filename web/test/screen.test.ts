// The element that has the picture, and what is told of its frames.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Screen } from "../src/screen";

type Callback = (now: number, frame: Partial<VideoFrameCallbackMetadata>) => void;

class FakeVideo extends EventTarget {
  id = "screen";
  className = "screen";
  srcObject: unknown = {};
  videoWidth = 640;
  videoHeight = 480;
  present: Callback = () => {};
  requestVideoFrameCallback(callback: Callback) {
    this.present = callback;
  }
  after(canvas: FakeCanvas) {
    canvas.isConnected = true;
  }
}

class FakeCanvas {
  id = "";
  className = "";
  width = 300;
  height = 150;
  isConnected = false;
  readonly drawn: unknown[] = [];
  getContext() {
    return { drawImage: (frame: unknown) => this.drawn.push(frame) };
  }
  remove() {
    this.isConnected = false;
  }
}

let canvas: FakeCanvas;
let animate: (ms: number) => void;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
  canvas = new FakeCanvas();
  vi.stubGlobal("document", { hidden: false, createElement: () => canvas });
  vi.stubGlobal("requestAnimationFrame", (callback: typeof animate) => {
    animate = callback;
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function begin() {
  const video = new FakeVideo();
  const events: unknown[] = [];
  const stop = new AbortController();
  const screen = new Screen(
    video as unknown as HTMLVideoElement,
    {
      shown: (frame) => events.push(frame ? [frame.rtpTime, frame.presentedUs, frame.displayedUs] : "shown"),
      resized: () => events.push(`${screen.size.width} x ${screen.size.height}`),
    },
    stop.signal,
  );
  screen.onvideo = () => events.push("video");
  const draw = (displayWidth: number, displayHeight: number) => {
    const frame = { displayWidth, displayHeight, close: () => events.push("closed") };
    screen.draw(frame as unknown as VideoFrame, {
      rtpTime: 9,
      receivedUs: 0,
      decodeUs: 0,
      changed: undefined,
    });
  };
  return { video, events, stop, screen, draw };
}

const named = (...elements: { id: string }[]) => elements.map(({ id }) => id);

it("is the video element, until there is a picture of a stream", () => {
  const { video, events, screen, draw } = begin();
  video.dispatchEvent(new Event("resize"));
  video.present(0, {});
  expect(events.splice(0)).toEqual(["640 x 480", "video", "shown"]);
  expect(named(video, canvas)).toEqual(["screen", ""]);
  expect(screen.element).toBe(video);

  draw(800, 600);
  expect(named(video, canvas)).toEqual(["", "screen"]);
  expect(screen.element).toBe(canvas);
  const presented = performance.now() * 1000;
  vi.advanceTimersByTime(7);
  animate(performance.now());
  draw(800, 600);
  expect(events.splice(0)).toEqual(["800 x 600", "closed", [9, presented, presented + 7_000], "closed"]);
  draw(1024, 600);
  // What the covered element does is not seen.
  video.dispatchEvent(new Event("resize"));
  video.present(0, {});
  expect(events.splice(0)).toEqual(["1024 x 600", "closed", "video"]);

  screen.showVideo();
  expect(named(video, canvas)).toEqual(["screen", ""]);
  expect(events.splice(0)).toEqual(["640 x 480"]);
  expect(canvas.drawn).toHaveLength(3);
});

it("tells of frames on a hidden page, which draws none", () => {
  const { video, events, draw } = begin();
  vi.stubGlobal("document", { hidden: true });
  video.dispatchEvent(new Event("loadeddata"));
  draw(800, 600);
  const now = performance.now() * 1000;
  expect(events).toEqual(["video", "shown", "800 x 600", [9, now, now], "closed"]);
});

it("is the video element again at the end, and tells nothing more", () => {
  const { video, events, stop, draw } = begin();
  draw(800, 600);
  events.length = 0;
  stop.abort();
  expect(named(video, canvas)).toEqual(["screen", ""]);
  expect(video.srcObject).toBeNull();
  events.length = 0;
  animate(0);
  video.present(0, {});
  expect(events).toEqual([]);
});
