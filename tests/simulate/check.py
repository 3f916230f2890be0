#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tests/simulate/check.py: `atelier simulate` on the recorded workshops beside it.

The independent scorer (score.py) must agree with the program's own report in every field; fifo and priority,
which are fully determined, must give the figures of every correct simulator; round_robin must be as good as
its goals; the same input must give the same bytes; a bad trace must be refused in one sentence."""

import json, os, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import score  # noqa: E402

BIN = os.environ.get('ATELIER_BIN_DIR', os.path.join(HERE, '..', '..', 'build', 'release'))
ATELIER = os.path.join(BIN, 'atelier')
TRACES = ('class-20x1gpu', 'class-20x3gpu', 'campus-500x20gpu')

CALIBRATION_FIELDS = (
    'makespan_ms', 'model_loads', 'turnaround_mean_ms', 'wait_mean_ms', 'wait_p95_ms', 'gpu_busy_fraction',
    'gpu_lost_ms', 'reruns', 'jobs_run_twice', 'jain_mean', 'service_lag_max_ms', 'lateness_p95_ms',
)  # fmt: skip
CALIBRATION = {
    ('class-20x1gpu', 'fifo'):
        (23651731, 360, 5349022, 5329136, 12562274, 0.5574, 0, 0, 0, 0.4334, 387946, 7005229),
    ('class-20x3gpu', 'fifo'):
        (40574707, 954, 3984827, 3941781, 11614452, 0.6516, 351233, 2, 0, 0.5115, 968776, 5050686),
    ('class-20x3gpu', 'priority'):
        (40825460, 973, 4610823, 4567777, 21833536, 0.6474, 330117, 2, 0, 0.4531, 3998050, 20073975),
    ('campus-500x20gpu', 'fifo'):
        (8797744, 2406, 1946845, 1920870, 4838754, 0.5442, 144099, 2, 1, 0.2256, 281972, 3536032),
}  # fmt: skip

# name: (one value per trace, True if more is better)
MUST = {
    'makespan / bound': ((1.25, 1.09, 1.24), False),
    'busy': ((0.75, 0.82, 0.79), True),
    'loads': ((150, 360, 540), False),
    'turnaround / fluid': ((1.40, 1.20, 1.10), False),
    'image wait s': ((1500, 1150, 260), False),
    'lag / longest': ((1.25, 1.25, 1.25), False),
    'lateness p95 s': ((1900, 450, 500), False),
    'jain': ((0.70, 0.80, 0.40), True),
    'places': ((2, 2, 2), False),
    'over 60 s': ((0.02, 0.07, 0.01), False),
}
MUST_PRODUCT = {
    'busy': ((0.79, 0.86, 0.84), True),
    'turnaround / fluid': ((0.90, 1.00, 0.75), False),
    'lag / longest': ((1.25, 1.25, 1.25), False),
}

# Of etas: mdape in round_robin and in fifo; shares at or below p50 and p90; the median width.
MUST_ETA = {
    'mdape': (0.20, 0.14, 0.15),
    'width_median': (1.8, 1.5, 1.6),
}
MUST_ETA_SHARES = {'below_p50': (0.35, 0.65), 'below_p90': (0.79, 0.97)}
MUST_ETA_FIFO = (0.07, 0.06, 0.06)

failures = []


def check(condition, what):
    if not condition:
        failures.append(what)
        print('FAILED:', what)


def simulate(path, *options):
    command = [ATELIER, 'simulate', '--trace', path, *options]
    return subprocess.run(command, capture_output=True, text=True)


def measures(report, bounds):
    return {
        'makespan / bound': report['makespan_ms'] / bounds['makespan_lb_ms'],
        'busy': report['gpu_busy_fraction'],
        'loads': report['model_loads'],
        'turnaround / fluid': report['turnaround_mean_ms'] / bounds['fair_fluid_turnaround_mean_ms'],
        'image wait s': report['wait_image_mean_ms'] / 1000,
        'lag / longest': report['service_lag_max_ms'] / bounds['longest_job_ms'],
        'lateness p95 s': report['lateness_p95_ms'] / 1000,
        'jain': report['jain_mean'],
        'places': report['affinity_places_max'],
        'over 60 s': report['affinity_delay_over_60s'] / max(1, report['affinity_jobs_passed']),
    }


def run(folder, trace_name, trace, policy, *options):
    """The report, after the scorer and a second run have agreed with it."""
    path = os.path.join(HERE, trace_name + '.json')
    schedules = [os.path.join(folder, name) for name in ('one.json', 'two.json')]
    reports = []
    with ThreadPoolExecutor(len(schedules)) as side_by_side:
        runs = side_by_side.map(
            lambda schedule: simulate(path, '--policy', policy, '--schedule', schedule, *options), schedules
        )
    for done in runs:
        check(done.returncode == 0, f'{trace_name} {policy}: exit {done.returncode} {done.stderr}')
        reports.append(json.loads(done.stdout))
    report = reports[0]
    name = f'{trace_name} {policy} {" ".join(options)}'.strip()
    with open(schedules[0]) as one, open(schedules[1]) as two:
        text = one.read()
        check(text == two.read(), f'{name}: two runs differ')
    measured = ('sim_wall_ms', 'decision_p99_ns')
    check({**reports[0], **dict.fromkeys(measured)} == {**reports[1], **dict.fromkeys(measured)},
          f'{name}: two reports differ')  # fmt: skip
    scored = score.score(trace, json.loads(text))
    for field, value in scored.items():
        own = report.get(field)
        check(own == value, f'{name}: {field} is {value} to the scorer, {own} here')
    check(report['valid'] and report['jobs_lost'] == 0, f'{name}: {report["errors"]}')
    return report


def check_goals(name, index, values, goals):
    for field, (limits, more) in goals.items():
        good = values[field] >= limits[index] if more else values[field] <= limits[index]
        check(good, f'{name}: {field} {values[field]:.3f}, must {limits[index]}')


def check_etas(folder, trace_name, trace, index):
    path = os.path.join(HERE, trace_name + '.json')
    schedule = os.path.join(folder, 'etas.json')
    for policy in ('round_robin', 'fifo'):
        name = f'{trace_name} {policy} etas'
        done = simulate(path, '--policy', policy, '--etas', '--seed', '7', '--schedule', schedule)
        check(done.returncode == 0, f'{name}: exit {done.returncode} {done.stderr}')
        report = json.loads(done.stdout)
        with open(schedule) as file:
            scored = score.score(trace, json.load(file))
        etas = report['eta']
        check(scored['eta'] == etas, f'{name}: {scored["eta"]} to the scorer, {etas} here')
        check(etas['count'] == len(trace['submissions']), f'{name}: one for each submission')
        print(name, etas)
        if policy == 'fifo':
            check(etas['mdape'] <= MUST_ETA_FIFO[index], f'{name}: mdape {etas["mdape"]}')
            continue
        for field, limits in MUST_ETA.items():
            check(etas[field] <= limits[index], f'{name}: {field} {etas[field]}')
        for field, (least, most) in MUST_ETA_SHARES.items():
            check(least <= etas[field] <= most, f'{name}: {field} {etas[field]}')


def check_refusals(folder):
    with open(os.path.join(HERE, 'class-20x1gpu.json')) as file:
        good = json.load(file)
    good['submissions'] = good['submissions'][:3]
    path = os.path.join(folder, 'bad.json')

    def refused(text, sentence):
        with open(path, 'w') as file:
            file.write(text)
        done = simulate(path)
        check(done.returncode == 2 and not done.stdout, f'{sentence}: exit {done.returncode}')
        check(sentence in done.stderr and done.stderr.count('\n') == 1, f'{sentence}: {done.stderr}')

    def with_submission(**change):
        bad = json.loads(json.dumps(good))
        bad['submissions'][1].update(change)
        return json.dumps(bad)

    refused('{', 'not valid JSON')
    refused('[]', 'is not an object')
    refused('{}', 'has no "format"')
    refused(json.dumps({**good, 'format': 'other/1'}), 'is not of the format atelier-trace/1')
    refused(json.dumps({**good, 'submissions': []}), 'needs 1 to')
    refused(json.dumps({**good, 'lease_ms': 0}), 'has no "lease_ms" that is a whole number')
    refused(json.dumps({**good, 'faults': [{'t_ms': 5, 'worker': 'gpu-01', 'kind': 'fire'}]}), 'kind "fire"')
    refused(with_submission(t_ms=0), 'submission 1 has no "t_ms"')
    refused(with_submission(signature='none'), 'names the signature "none"')
    refused(with_submission(participant=21), 'submission 1 has no "participant"')
    refused(with_submission(priority='urgent'), 'priority "urgent"')
    done = simulate(os.path.join(folder, 'none.json'))
    check(done.returncode == 2 and 'cannot be read' in done.stderr, 'a trace that is not there')


def main():
    with tempfile.TemporaryDirectory() as folder:
        check_refusals(folder)
        for index, trace_name in enumerate(TRACES):
            with open(os.path.join(HERE, trace_name + '.json')) as file:
                trace = json.load(file)
            bounds = score.bounds(trace)
            for policy in ('fifo', 'priority'):
                report = run(folder, trace_name, trace, policy)
                want = CALIBRATION.get((trace_name, policy)) or CALIBRATION[trace_name, 'fifo']
                for field, value in zip(CALIBRATION_FIELDS, want):
                    own = report[field]
                    check(own == value, f'{trace_name} {policy}: {field} {own}, not {value}')
            strict = measures(run(folder, trace_name, trace, 'round_robin'), bounds)
            print(trace_name, ', '.join(f'{field} {value:.3g}' for field, value in strict.items()))
            check_goals(trace_name, index, strict, MUST)
            product = run(folder, trace_name, trace, 'round_robin', '--affinity', 'product')
            check_goals(trace_name + ' product', index, measures(product, bounds), MUST_PRODUCT)
            check_etas(folder, trace_name, trace, index)
    print('FAILED' if failures else 'fine')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
