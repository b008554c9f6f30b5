// The page from the code to the end: entering, waiting, connecting, live, and what comes after.
import { loadAuth } from "./auth";
import { type Code, parseCode } from "./code";
import { streamFormats } from "./decoder";
import { type Admitted, EndReason, type StreamFormat } from "./gen/farpane_pb";
import { canReceiveVideo } from "./peer";
import { PATH_PATIENCE_MS } from "./session";
import { Meeting } from "./signal";
import { showEntry, showLive, showOutcome, showProgress, ui } from "./ui";
import { Viewer } from "./viewer";
import {
  endWords,
  LOST_MEETING_POINT,
  NO_CODEC,
  NO_MEETING_POINT,
  NO_WEBRTC,
  noPathWords,
  PROTOCOL,
  refusalWords,
  type Words,
} from "./words";

/** Longer names of hosts are cut. */
const MAX_HOST_NAME = 64;

let meeting: Meeting | undefined;
let viewer: Viewer | undefined;
let countdown: ReturnType<typeof setInterval> | undefined;
/** What a stream may bring; known long before a host admits anybody. */
let formats: StreamFormat[] = [];

function enter(text: string): void {
  const parsed = parseCode(text);
  if ("problem" in parsed) showEntry(parsed.problem);
  else connect(parsed.code);
}

function connect(code: Code): void {
  if (!canReceiveVideo() && formats.length === 0) {
    return fail(typeof RTCPeerConnection === "undefined" ? NO_WEBRTC : NO_CODEC);
  }
  showProgress("connecting", { title: "Connecting…", text: "Checking the code." });
  const current = new Meeting(code, {
    session(body) {
      switch (body.case) {
        case "waiting":
          wait(body.value.seconds);
          break;
        case "admitted":
          if (viewer !== undefined) return fail(PROTOCOL);
          stopCountdown();
          // Used up.
          ui.code.value = "";
          view(current, body.value);
          break;
        case "ended":
          if (viewer === undefined) end(body.value.reason, body.value.detail);
          else viewer.handle(body);
          break;
        default:
          viewer?.handle(body);
      }
    },
    refused(reason, attemptsLeft) {
      // A session that has come about goes on without the meeting point, whatever that says.
      if (viewer?.live) viewer.forgotten();
      else fail(refusalWords(reason, attemptsLeft));
    },
    lost(opened) {
      if (viewer === undefined) fail(opened ? LOST_MEETING_POINT : NO_MEETING_POINT);
    },
  });
  meeting = current;
}

function view(through: Meeting, admitted: Admitted): void {
  const hostName = admitted.hostName.slice(0, MAX_HOST_NAME);
  showProgress("connecting", { title: "Connecting…", text: "Looking for the way to the other computer." });
  viewer = new Viewer(through, formats, admitted, {
    live() {
      stopCountdown();
      showLive(hostName);
    },
    interrupted() {
      count(PATH_PATIENCE_MS / 1000, (seconds) =>
        showProgress(
          "connecting",
          { title: "Reconnecting…", text: `The network path is gone. Time left: ${seconds} s.` },
          true,
        ),
      );
    },
    ended: end,
    failed: (why) => fail(why === "no path" ? noPathWords(isSecureContext, formats.length > 0) : PROTOCOL),
  });
}

function wait(seconds: number): void {
  count(seconds, (left) =>
    showProgress("waiting", {
      title: "Waiting to be let in",
      text: `The person at the other computer is being asked. Time left: ${left} s.`,
    }),
  );
}

function end(reason: EndReason, detail: string): void {
  forget();
  showOutcome("ended", endWords(reason, detail));
}

function fail(words: Words): void {
  forget();
  showOutcome("failed", words);
}

/** Closes what is open, without a word on the page. */
function forget(): void {
  stopCountdown();
  viewer?.leave();
  meeting?.close();
  viewer = meeting = undefined;
}

function count(seconds: number, show: (left: number) => void): void {
  stopCountdown();
  const until = performance.now() + seconds * 1000;
  const update = () => show(Math.max(0, Math.round((until - performance.now()) / 1000)));
  countdown = setInterval(update, 1000);
  update();
}

function stopCountdown(): void {
  clearInterval(countdown);
  countdown = undefined;
}

/** Takes the code out of the address bar, where it would be seen, and connects. */
function enterFromAddress(): void {
  const fragment = location.hash.slice(1);
  if (fragment === "" || viewer !== undefined) return;
  history.replaceState(null, "", location.pathname + location.search);
  forget();
  ui.code.value = fragment;
  enter(fragment);
}

ui.entry.addEventListener("submit", (event) => {
  event.preventDefault();
  enter(ui.code.value);
});
ui.code.addEventListener("focus", () => void loadAuth().catch(() => {}), { once: true });
ui.cancel.addEventListener("click", () => {
  if (viewer !== undefined) return end(EndReason.END_VIEWER_LEFT, "");
  forget();
  showEntry();
});
ui.again.addEventListener("click", () => showEntry());
window.addEventListener("hashchange", enterFromAddress);
window.addEventListener("pagehide", () => {
  if (viewer !== undefined) end(EndReason.END_VIEWER_LEFT, "");
  else forget();
});

const known = streamFormats().then((decoded) => {
  formats = decoded;
});
// Whether this browser can do without WebRTC has to be clear before a code is used up.
if (!canReceiveVideo()) await known;
showEntry();
enterFromAddress();
