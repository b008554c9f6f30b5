// The whole key exchange against the same library's host side, with the parameters that farpane-auth uses.
import * as opaque from "@serenity-kit/opaque";
import { describe, expect, it } from "vitest";
import { fromBase64Url, startLogin, toBase64Url } from "../src/auth";

const identifiers = { client: "AB0D", server: "farpane host" };
const keyStretching = { "argon2id-custom": { memory: 19 * 1024, iterations: 2, parallelism: 1 } };

/** A host that has registered the secret with itself. */
async function host(secret: string) {
  await opaque.ready;
  const { client, server } = opaque;
  const serverSetup = server.createSetup();
  const start = client.startRegistration({ password: secret });
  const { registrationResponse } = server.createRegistrationResponse({
    serverSetup,
    userIdentifier: identifiers.client,
    registrationRequest: start.registrationRequest,
  });
  const { registrationRecord } = client.finishRegistration({
    password: secret,
    registrationResponse,
    clientRegistrationState: start.clientRegistrationState,
    identifiers,
    keyStretching,
  });
  return (ke1: Uint8Array) =>
    server.startLogin({
      serverSetup,
      registrationRecord,
      startLoginRequest: toBase64Url(ke1),
      userIdentifier: identifiers.client,
      identifiers,
    });
}

describe("the key exchange", () => {
  it("gives both sides the same key for the right secret", async () => {
    const reply = await host("EF1H1KMN");
    const login = await startLogin({ routing: "AB0D", secret: "EF1H1KMN" });
    const { serverLoginState, loginResponse } = reply(login.ke1);
    const result = login.finish(fromBase64Url(loginResponse));
    if (result === undefined) throw new Error("the secret was refused");
    const { sessionKey } = opaque.server.finishLogin({
      serverLoginState,
      finishLoginRequest: toBase64Url(result.ke3),
      identifiers,
    });
    expect(toBase64Url(result.sessionKey)).toBe(sessionKey);
  });

  it.each([
    ["another secret", { routing: "AB0D", secret: "EF1H1KM0" }],
    ["another routing id", { routing: "AB0E", secret: "EF1H1KMN" }],
  ])("gives nothing for %s", async (_, code) => {
    const reply = await host("EF1H1KMN");
    const login = await startLogin(code);
    expect(login.finish(fromBase64Url(reply(login.ke1).loginResponse))).toBeUndefined();
  });
});
