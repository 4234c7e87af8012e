/**
 * Processes that this process has to answer for. Whatever ends this process, they are killed with it: each by its id, in
 * the order in which they were added, so that a supervisor goes before what it would start again.
 */
const owned = new Set<number>();
let installed = false;

export function own(pid: number): void {
  owned.add(pid);
  if (installed) return;
  installed = true;
  process.once('exit', () => {
    for (const id of owned) signal(id, 'SIGKILL');
  });
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => process.exit(130));
}

export function disown(pid: number): void {
  owned.delete(pid);
}

/** False when there is no such process any more. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
