// The code a person types: four symbols that find the share and eight that prove the right to see it.

/** A code in canonical form: upper-case Crockford base 32 without separators. */
export interface Code {
  /** Finds the share at the meeting point; not secret. */
  readonly routing: string;
  /** Known to the two people only; it never leaves this page. */
  readonly secret: string;
}

export type ParsedCode = { readonly code: Code } | { readonly problem: string };

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ROUTING_SYMBOLS = 4;
const CODE_SYMBOLS = 12;
const LOOK_ALIKES: Readonly<Record<string, string>> = { O: "0", I: "1", L: "1" };

/**
 * Reads a code however it was typed or pasted: any case, any spaces (those of a link, too) and dashes, look-alike
 * letters, or the whole link. What is wrong comes back in words for the person who typed it.
 */
export function parseCode(text: string): ParsedCode {
  const link = text.lastIndexOf("#");
  const symbols = text
    .slice(link + 1)
    .normalize("NFKC")
    .toUpperCase()
    .replace(/%20|[\s\p{Dash}_.,·]/gu, "")
    .replace(/[OIL]/g, (letter) => LOOK_ALIKES[letter] ?? letter);

  if (symbols === "") return { problem: "Type the code that the other computer shows." };
  for (const symbol of symbols) {
    if (!ALPHABET.includes(symbol)) {
      return { problem: `Codes have no “${symbol}”. Please compare with the other computer's screen.` };
    }
  }
  if (symbols.length !== CODE_SYMBOLS) {
    const difference = Math.abs(CODE_SYMBOLS - symbols.length);
    const verdict = symbols.length < CODE_SYMBOLS ? "missing" : "too many";
    return { problem: `A code has ${CODE_SYMBOLS} letters and digits; ${difference} ${verdict}.` };
  }
  return { code: { routing: symbols.slice(0, ROUTING_SYMBOLS), secret: symbols.slice(ROUTING_SYMBOLS) } };
}
