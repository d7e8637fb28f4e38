#!/usr/bin/env python3
"""Injects one fault after the other into cifar_trainer, and checks what is left: see README.md.

usage: loop.py kill|disk|allocation TRAINER FAULTS_LIBRARY [--full] [--every N] [--jobs N]
"""
import argparse
import errno
import filecmp
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

SHORT_KILLS = 30
SHORT_ALLOCATIONS = 20  # every so many
NO_MEMORY_IN_LIBOMP = 'OMP: Error #101: Out of heap memory.'  # clang's, which then ends the program by itself
HANGS = 300  # seconds after which a run of a second has failed
MANY_WRITES = 100  # of the writes of one file, the short forms take the first, the last and every so many
# Two steps, a checkpoint after each; the run goes on from the first.
RUN = ['train', '--dataset', 'synthetic', '--limit', '16', '--test-limit', '8', '--batch-size', '8', '--epochs', '1',
       '--t', '1', '--seed', '7', '--save-every', '1']
FILES = ['last.safetensors', 'best.safetensors']


class Loop:
  def __init__(self, options, folder):
    self.options = options
    self.folder = folder
    self.failures = 0
    self.reference = folder / 'reference'
    self.checked_run(RUN + ['--out', self.reference])
    # What is there between the two: after a kill, and without what that leaves for the next run.
    self.base = folder / 'base'
    words = RUN + ['--out']
    saved = self.first_save(self.calls(words + [self.work('first')], self.work('first')))
    self.run(words + [self.base], folder=self.base, call=saved + 3, error=0)
    for name in self.left_over(self.base):
      (self.base / name).unlink()

  def run(self, words, preload=True, **faults):
    """The exit code (negative: the signal) and standard error."""
    environment = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', FOVEA_AUTOTUNE='0')
    if preload:
      environment['LD_PRELOAD'] = str(self.options.library)
    environment.update({'FOVEA_FAULT_' + name.upper(): str(value) for name, value in faults.items()})
    try:
      done = subprocess.run([str(self.options.trainer)] + [str(word) for word in words], env=environment, check=False,
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            timeout=HANGS)
    except subprocess.TimeoutExpired as error:
      return 'hangs', (error.stderr or b'').decode(errors='replace')
    return done.returncode, done.stderr.decode(errors='replace')

  def checked_run(self, words):
    code, text = self.run(words, preload=False)
    if code != 0:
      sys.exit(f'faults: {words} without a fault ends with {code}:\n{text}')

  def calls(self, words, out):
    """The calls of a run that change `out`."""
    log = self.folder / 'calls'
    code, text = self.run(words, folder=out, calls_file=log)
    if code != 0:
      sys.exit(f'faults: {words} while its calls are noted ends with {code}:\n{text}')
    return log.read_text().splitlines()

  def first_save(self, calls):
    """The number of the call that has put the first checkpoint into its place."""
    return next(n for n, call in enumerate(calls, 1)
                if call.startswith('rename') and call.endswith('last.safetensors'))

  def telling(self, calls):
    """The numbers of the calls, in the short form without most of the many writes of a file."""
    numbers = []
    for n in range(1, len(calls) + 1):
      is_within = {'write '} == {*calls[max(n - 2, 0):n + 1]}
      if self.options.full or not is_within or n % MANY_WRITES == 0:
        numbers.append(n)
    return numbers

  def all(self, check, cases):
    """check(*case) for all of them, some at a time; each gives a problem, or None."""
    def problem_of(case):
      try:
        return check(*case)
      except OSError as error:  # of a file that should be there
        return str(error)

    with ThreadPoolExecutor(self.options.jobs) as pool:
      for case, problem in zip(cases, pool.map(problem_of, cases)):
        if problem:
          self.failures += 1
          print(f'faults: {self.options.loop} {case}: {problem}', file=sys.stderr)

  def work(self, name, start=None):
    out = self.folder / f'work{name}'
    if start is not None:
      shutil.copytree(start, out)
    return out

  def left_over(self, out):
    return [path.name for path in out.glob('*') if path.suffix == '.part' or path.name == 'run.lock']

  def differs(self, out):
    """Whether a finished run is another than that without faults."""
    wrong = [name for name in FILES if not filecmp.cmp(out / name, self.reference / name, shallow=False)]
    return f'{", ".join(wrong)} of the finished run: other bytes than without faults' if wrong else None

  def resumed(self, out, words=('--resume',)):
    """What is wrong after going on without faults."""
    code, text = self.run(RUN[:1] + list(words) + ['--out', out], preload=False)
    if code != 0:
      return f'going on ends with {code}: {text}'
    if self.left_over(out):
      return f'the finished run has left {self.left_over(out)}'
    return self.differs(out)

  # SIGKILL in the n-th call that changes the folder, of a write when half is written.
  def kill(self):
    words = RUN + ['--out']
    calls = self.calls(words + [self.work('count')], self.work('count'))
    first = self.first_save(calls)
    numbers = self.telling(calls)
    if not self.options.full:
      numbers = [numbers[i * (len(numbers) - 1) // (SHORT_KILLS - 1)] for i in range(SHORT_KILLS)]

    def check(n, call):
      out = self.work(n)
      code, text = self.run(words + [out], folder=out, call=n, error=0)
      if code != -9:
        return f'not killed in {call}: {code} {text}'
      is_saved = n > first
      if is_saved and not (out / 'last.safetensors').exists():
        return f'after {call} there is no checkpoint'
      problem = self.resumed(out, ['--resume'] if is_saved else RUN[1:] + ['--resume', 'auto'])
      shutil.rmtree(out, ignore_errors=True)
      return problem and f'killed in {call}: {problem}'

    self.all(check, [(n, calls[n - 1]) for n in numbers])
    return f'{len(numbers)} of {len(calls)} kills'

  # The n-th call that changes the folder fails.
  def disk(self):
    words = ['train', '--resume', '--out']
    calls = self.calls(words + [self.work('count', self.base)], self.work('count'))
    errors = [errno.ENOSPC, errno.EIO]
    cases = [(n, error, calls[n - 1]) for n in self.telling(calls) for error in errors
             if self.options.full or error == errors[n % 2]]

    def check(n, error, call):
      out = self.work(f'{n}-{error}', self.base)
      code, text = self.run(words + [out], folder=out, call=n, error=error)
      if code not in (0, 1, 5):
        return f'{call}: ends with {code}: {text}'
      if code != 0 and not (os.strerror(error) in text and str(out) in text and 'cifar_trainer: ' in text):
        return f'{call}: the message does not say what and where: {text}'
      if not call.startswith('unlink') and self.left_over(out):
        return f'{call}: has left {self.left_over(out)}'
      if code == 0 and self.differs(out):
        return f'{call}: exit code 0, but {self.differs(out)}'
      problem = self.resumed(out)
      shutil.rmtree(out, ignore_errors=True)
      return problem and f'{call}: {problem}'

    self.all(check, cases)
    return f'{len(cases)} faults in {len(calls)} calls'

  # The n-th allocation fails: of those by other call paths than all before, or of all.
  def allocation(self):
    commands = {'train': lambda out: ['train', '--resume', '--out', out],
                'evaluate': lambda out: ['evaluate', '--limit', '8', '--checkpoint', out / 'last.safetensors']}
    cases = []
    for name, command in commands.items():
      paths = self.folder / 'paths'
      code, text = self.run(command(self.work(f'count-{name}', self.base)), allocations_file=paths)
      if code != 0:
        sys.exit(f'faults: {name} while its allocations are noted ends with {code}:\n{text}')
      count, *firsts = [int(line) for line in paths.read_text().split()]
      numbers = range(1, count + 1) if self.options.full else sorted(firsts)
      step = self.options.every or (1 if self.options.full else SHORT_ALLOCATIONS)
      cases += [(name, n) for n in numbers[::step]]
      print(f'faults: {name} has {count} allocations by {len(firsts)} call paths')

    def check(name, n):
      out = self.work(f'{name}-{n}', self.base)
      code, text = self.run(commands[name](out), allocation=n)
      last = out / 'last.safetensors'
      states = [start for start in (self.base, self.reference) if filecmp.cmp(last, start / last.name, shallow=False)]
      is_libomps_end = code == -signal.SIGABRT and text.startswith(NO_MEMORY_IN_LIBOMP)
      if code not in (0, 4) and not is_libomps_end:
        return f'ends with {code}: {text}'
      if code == 4 and 'memory' not in text:
        return f'exit code 4 without a word on memory: {text}'
      if self.left_over(out):
        return f'exit code {code} has left {self.left_over(out)}: {text}'
      if name == 'train' and code == 0 and self.reference not in states:
        return f'exit code 0, but {self.differs(out)}'
      problem = None if states else self.resumed(out)
      shutil.rmtree(out, ignore_errors=True)
      return problem and f'exit code {code}, and {problem}'

    self.all(check, cases)
    return f'{len(cases)} allocations'


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('loop', choices=['kill', 'disk', 'allocation'])
  parser.add_argument('trainer', type=pathlib.Path)
  parser.add_argument('library', type=pathlib.Path)
  parser.add_argument('--full', action='store_true', help='every kill, every error, every allocation')
  parser.add_argument('--every', type=int, help='of the allocations, every so many')
  parser.add_argument('--jobs', type=int, default=max(1, os.cpu_count() or 1), help='runs at a time')
  options = parser.parse_args()
  with tempfile.TemporaryDirectory(prefix='fovea_faults.') as folder:
    loop = Loop(options, pathlib.Path(folder))
    done = getattr(loop, options.loop)()
  print(f'faults: {options.loop}: {done}, {loop.failures} of which left something wrong')
  return 1 if loop.failures else 0


if __name__ == '__main__':
  sys.exit(main())
