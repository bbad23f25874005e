// Runs a round again and again until the file $STOP is there, and prints one
// line of JSON a round.
import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

export async function loop(round) {
  while (!existsSync(process.env.STOP)) {
    let said = { ok: true };
    try {
      await round();
    } catch (e) {
      said = { ok: false, error: [e, e?.cause].filter(Boolean).map((x) => x.stack ?? String(x)).join(' / ').slice(0, 900) };
    }
    console.log(JSON.stringify(said));
    await pause(300);
  }
  process.exit(0);
}

export function expect(is, what) {
  if (!is) throw new Error('unexpected: ' + JSON.stringify(what)?.slice(0, 500));
}

export const { INSTANCE_URL: instanceUrl, ACCESS_TOKEN: accessToken } = process.env;
