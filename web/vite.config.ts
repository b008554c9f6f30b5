// How the browser client is built: one page, hashed assets, nothing inlined, so that the strict CSP holds.
import { defineConfig } from "vitest/config";

export default defineConfig({
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    // The key exchange carries its WebAssembly inside its own chunk, which is loaded beside the page.
    chunkSizeWarningLimit: 600,
    modulePreload: { polyfill: false },
  },
  test: { include: ["test/**/*.test.ts"] },
});
