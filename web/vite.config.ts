// How the browser client is built: one page, hashed assets, nothing inlined, so that the strict CSP holds.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Smaller files gain nothing. */
const SMALL = 1024;

/** Puts a compressed copy beside each file, which the server hands to browsers that take it: a third of the bytes. */
const compressed: Plugin = {
  name: "compressed",
  // As written: Vite still changes files after plugins have seen them.
  writeBundle({ dir = "" }, bundle) {
    for (const name of Object.keys(bundle)) {
      const file = join(dir, name);
      const content = readFileSync(file);
      if (content.length >= SMALL) writeFileSync(`${file}.gz`, gzipSync(content, { level: 9 }));
    }
  },
};

export default defineConfig({
  plugins: [compressed],
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    // The key exchange carries its WebAssembly inside its own chunk, which is loaded beside the page.
    chunkSizeWarningLimit: 600,
    modulePreload: { polyfill: false },
  },
  test: { include: ["test/**/*.test.ts"] },
});
