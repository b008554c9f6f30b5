// What the page changes in the descriptions of a connection.
import { describe, expect, it } from "vitest";
import { withRoundTrips } from "../src/peer";

const lines = (...all: string[]) => all.map((line) => `${line}\r\n`).join("");

describe("a description", () => {
  it("asks for round trips wherever it asks for packets again", () => {
    const offer = lines(
      "a=rtcp-fb:96 goog-remb",
      "a=rtcp-fb:96 nack",
      "a=rtcp-fb:96 nack pli",
      "a=rtcp-fb:103 nack",
      "a=fmtp:103 nack",
    );
    expect(withRoundTrips(offer)).toBe(
      lines(
        "a=rtcp-fb:96 goog-remb",
        "a=rtcp-fb:96 nack",
        "a=rtcp-fb:96 rrtr",
        "a=rtcp-fb:96 nack pli",
        "a=rtcp-fb:103 nack",
        "a=rtcp-fb:103 rrtr",
        "a=fmtp:103 nack",
      ),
    );
  });

  it("is left alone without them", () => {
    const offer = lines("v=0", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel");
    expect(withRoundTrips(offer)).toBe(offer);
  });
});
