// Everything that can go wrong or come to an end, in words that say what to do next.
import { EndReason, RefusalReason } from "./gen/farpane_pb";
import type { Trouble } from "./trouble";

export interface Words {
  readonly title: string;
  readonly text: string;
}

export function refusalWords(reason: RefusalReason, attemptsLeft: number): Words {
  switch (reason) {
    case RefusalReason.REFUSAL_WRONG_CODE:
      return {
        title: "That code is not right",
        text: `Please check it and try again. ${attempts(attemptsLeft)}`,
      };
    case RefusalReason.REFUSAL_UNKNOWN_CODE:
      return {
        title: "No computer has this code",
        text: "The code may be mistyped, or the sharing has ended. Compare it with the other computer's screen.",
      };
    case RefusalReason.REFUSAL_EXPIRED:
      return {
        title: "This code has expired",
        text: "Codes are valid for five minutes. Ask the person at the other computer to start sharing again.",
      };
    case RefusalReason.REFUSAL_USED:
      return {
        title: "This code has been used",
        text: "A code works once. Ask the person at the other computer to start sharing again.",
      };
    case RefusalReason.REFUSAL_LOCKED:
      return {
        title: "Too many wrong codes",
        text: "The sharing has ended to keep the computer safe. Ask the person there to start it again.",
      };
    case RefusalReason.REFUSAL_BUSY:
      return {
        title: "Somebody else is viewing",
        text: "Only one person can view at a time. Try again once they have left.",
      };
    case RefusalReason.REFUSAL_DECLINED:
      return { title: "Your request was declined", text: "The person at the other computer said no." };
    case RefusalReason.REFUSAL_NO_ANSWER:
      return {
        title: "Nobody answered",
        text: "The person at the other computer did not answer within a minute. Ask them to start sharing again.",
      };
    case RefusalReason.REFUSAL_VERSION:
      return {
        title: "The versions do not match",
        text: "This page and the other computer speak different versions. Reload the page, or update Farpane there.",
      };
    case RefusalReason.REFUSAL_NO_CODEC:
      return {
        title: "This browser cannot show the picture",
        text: "It shares no video codec with the other computer. Try a current Chrome, Edge, Safari or Firefox.",
      };
    case RefusalReason.REFUSAL_OVERLOADED:
      return {
        title: "The server is busy",
        text: "It takes no more connections now. Try again in a minute.",
      };
    default:
      return PROTOCOL;
  }
}

export function endWords(reason: EndReason, detail: string): Words {
  switch (reason) {
    case EndReason.END_STOPPED:
      return { title: "Sharing has stopped", text: "The person at the other computer stopped sharing." };
    case EndReason.END_VIEWER_LEFT:
      return { title: "Disconnected", text: "You have left. The code cannot be used again." };
    case EndReason.END_PATH_LOST:
      return {
        title: "The connection was lost",
        text: "The network between the two computers was gone for too long. Check it and ask for a new code.",
      };
    case EndReason.END_DISPLAY_LOST:
      return {
        title: "The desktop is gone",
        text: detail || "The other computer's desktop session ended or its screen can no longer be read.",
      };
    case EndReason.END_HOST_ERROR:
      return {
        title: "The other computer had to stop",
        text: detail || "Something went wrong there. Ask for a new code to try again.",
      };
    default:
      return { title: "The session has ended", text: detail || "The other computer closed the connection." };
  }
}

export const PROTOCOL: Words = {
  title: "The connection could not be set up",
  text:
    "This page could not load all of its parts, or the other side said something that it does not understand. " +
    "Reload the page and try again.",
};

export const NO_WEBRTC: Words = {
  title: "This browser cannot connect",
  text:
    "It has no WebRTC, or it is switched off, and does not decode video by itself on this page. Use a current Chrome, Edge, " +
    "Safari, Firefox or Chromium, or open the page by https.",
};

export const NO_CODEC: Words = {
  title: "This browser cannot show the picture",
  text:
    "It can receive neither H.264 nor AV1 video. Current versions of Chrome, Edge, Safari, Firefox and " +
    "Chromium can.",
};

/** No way was found, which may be the page's or the browser's fault. */
export function noPathWords(secure: boolean, streamed: boolean): Words {
  const direct =
    "No network path to it was found, by neither UDP nor TCP. Both computers have to be in the same network, or the other " +
    "one at an address that this one can connect to.";
  const insecure =
    " Otherwise this page has to be opened by https, or on localhost through a tunnel such as ssh -L.";
  return {
    title: "The other computer cannot be reached",
    text: streamed
      ? "No way to it was found, neither a direct one nor one through the server. Check the network and ask for a new code."
      : direct + (secure ? "" : insecure),
  };
}

export const NO_MEETING_POINT: Words = {
  title: "The server does not answer",
  text: "The sharing may have ended. Check with the person at the other computer and try again.",
};

export const LOST_MEETING_POINT: Words = {
  title: "The connection was closed",
  text: "The server hung up before you were let in. The sharing may have ended; ask for a new code.",
};

/** What is wrong with a connection that still works. */
export function troubleWords({ cause, amount }: Trouble): string {
  switch (cause) {
    case "silence":
      return `Poor connection: nothing has come through for ${Math.round(amount / 1000)} s.`;
    case "loss":
      return `Poor connection: ${Math.round(amount * 100)} % of what is sent gets lost.`;
    case "distance":
      return `Poor connection: the way to the other computer and back takes ${Math.round(amount)} ms.`;
    case "bandwidth":
      return `Poor connection: the network carries no more than ${amount.toFixed(1)} Mb/s.`;
    case "host":
      return `The other computer is busy: a picture takes it ${Math.round(amount)} ms.`;
    case "viewer":
      return `This computer is busy: a picture takes it ${Math.round(amount)} ms.`;
  }
}

function attempts(left: number): string {
  if (left === 0) return "";
  return left === 1 ? "One attempt is left." : `${left} attempts are left.`;
}
