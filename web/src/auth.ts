// The viewer's half of OPAQUE (RFC 9807): proves knowledge of the secret without ever sending it.
import type { Code } from "./code";

/** A key exchange that waits for the host's reply. */
export interface Login {
  /** First message, for the host. */
  readonly ke1: Uint8Array;
  /** Takes the host's reply; nothing comes back when the secret is wrong. Slow on purpose (Argon2id). */
  finish(ke2: Uint8Array): { ke3: Uint8Array; sessionKey: Uint8Array } | undefined;
}

// As farpane-auth has them; the client's identifier is the routing id.
const HOST_IDENTITY = "farpane host";
const KEY_STRETCHING = { "argon2id-custom": { memory: 19456, iterations: 2, parallelism: 1 } };

/** Loads the cryptographic module ahead of its use; repeated calls are free. */
export async function loadAuth() {
  const opaque = await import("@serenity-kit/opaque");
  await opaque.ready;
  return opaque.client;
}

export async function startLogin({ routing, secret }: Code): Promise<Login> {
  const client = await loadAuth();
  const { clientLoginState, startLoginRequest } = client.startLogin({ password: secret });
  return {
    ke1: fromBase64Url(startLoginRequest),
    finish(ke2) {
      const result = client.finishLogin({
        clientLoginState,
        loginResponse: toBase64Url(ke2),
        password: secret,
        identifiers: { client: routing, server: HOST_IDENTITY },
        keyStretching: KEY_STRETCHING,
      });
      return (
        result && {
          ke3: fromBase64Url(result.finishLoginRequest),
          sessionKey: fromBase64Url(result.sessionKey),
        }
      );
    },
  };
}

export function toBase64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

export function fromBase64Url(text: string): Uint8Array {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}
