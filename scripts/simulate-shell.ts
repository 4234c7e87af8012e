import { parseArgs } from 'node:util';
import { runSchedule, type ScheduleReport } from '../test/cluster-shell/schedule.ts';

/**
 * Random schedules of faults over the asynchronous shell: whole nodes over simulated network, disks and clocks.
 *
 *   node scripts/run.mjs simulate-shell --seed 4000 --runs 50           runs 4000 to 4049
 *   node scripts/run.mjs simulate-shell --seed 4000 --runs 50 --json    stops at the first violation and prints it as JSON
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '20' },
    json: { type: 'boolean', default: false },
  },
});

const first = Number(values.seed);
const reports: ScheduleReport[] = [];
let found: ScheduleReport | undefined;
const startedMs = Date.now();
while (reports.length < Number(values.runs)) {
  const report = await runSchedule(first + reports.length);
  reports.push(report);
  if (report.violation !== undefined) found ??= report;
  if (values.json && found !== undefined) break;
  if (!values.json) console.log(JSON.stringify(report));
}
if (values.json) {
  const violation = found && { number: found.seed, witness: 'shell', message: found.violation };
  console.log(JSON.stringify({ runs: reports.length, violation }));
} else {
  const sum = (of: (report: ScheduleReport) => number): number =>
    reports.reduce((total, report) => total + of(report), 0);
  console.table({
    runs: reports.length,
    violations: reports.filter(({ violation }) => violation !== undefined).length,
    'runs per minute': Math.round((reports.length / (Date.now() - startedMs)) * 60_000),
    faults: sum(({ faults }) => faults),
    confirmed: sum(({ confirmed }) => confirmed),
    settled: sum(({ settled }) => settled),
  });
}
process.exitCode = found === undefined ? 0 : 1;
