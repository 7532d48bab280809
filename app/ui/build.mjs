// Bundles the page into dist/: page.js, page.css, index.html, icon.svg, LICENSES.txt.
import { build } from "esbuild";
import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");

await rm(dist, { recursive: true, force: true });
await mkdir(dist);
const built = await build({
  absWorkingDir: here,
  entryPoints: { page: "src/main.tsx" },
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome123", "firefox121", "safari17.5"],
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"' },
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});
for (const name of ["index.html", "icon.svg"]) await cp(join(here, name), join(dist, name));
await writeFile(join(dist, "LICENSES.txt"), await licenses(built.metafile));

/** The licences of every package that is in the bundle, as they ask for. */
async function licenses(metafile) {
  const folders = new Set();
  for (const input of Object.keys(metafile.inputs)) {
    const found = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found) folders.add(found[1]);
  }
  const parts = [];
  for (const folder of [...folders].sort()) {
    const about = JSON.parse(await readFile(join(here, folder, "package.json"), "utf8"));
    const file = (await readdir(join(here, folder))).find((name) => /^licen[cs]e/i.test(name));
    const text = file ? await readFile(join(here, folder, file), "utf8") : "";
    parts.push(`${about.name} ${about.version} (${about.license})\n\n${text.trim()}\n`);
  }
  return parts.join(`\n${"-".repeat(78)}\n\n`);
}
