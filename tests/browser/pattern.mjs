// Red beside blue, a pixel wide: what only survives where colour is sampled as densely as light.
import { picture } from "./browsers.mjs";
import { until } from "./harness.mjs";

const [WIDTH, HEIGHT] = [240, 120];
/** Where programs put it. */
export const PLACE = [200, 100];

/** Tk: an image of that name, lines above and squares below. With half the colour both are one purple. */
export const pattern = `
image create photo pattern -width ${WIDTH} -height ${HEIGHT}
pattern put {{#f00 #00f}} -to 0 0 ${WIDTH} ${HEIGHT / 2}
pattern put {{#f00 #00f} {#00f #f00}} -to 0 ${HEIGHT / 2} ${WIDTH} ${HEIGHT}
`;

/** How far, of 255, any pixel of the lines and of the squares is from what it should be in the worst channel. */
async function off(page) {
  const { rgb } = await picture(page, [...PLACE, WIDTH, HEIGHT]);
  const most = [0, 0];
  for (let y = 0; y < HEIGHT; y++) {
    const squares = Number(y >= HEIGHT / 2);
    for (let x = 0; x < WIDTH; x++) {
      const blue = (squares ? x + y : x) % 2 === 1;
      const wanted = blue ? [0, 0, 255] : [255, 0, 0];
      for (let c = 0; c < 3; c++) {
        most[squares] = Math.max(most[squares], Math.abs(rgb[(y * WIDTH + x) * 3 + c] - wanted[c]));
      }
    }
  }
  return most;
}

/** Every pixel of the squares, than which nothing is harder to code, is nearer to its own colour than to the purple. */
export async function untilSharp(page) {
  let lines, squares;
  await until("the pattern is sharp", async () => {
    [lines, squares] = await off(page);
    return lines <= 24 && squares < 64;
  }).catch((error) => {
    throw new Error(`${error.message}: lines are off by ${lines}, squares by ${squares}`);
  });
}

export const isPurple = async (page) => Math.min(...(await off(page))) > 90;
