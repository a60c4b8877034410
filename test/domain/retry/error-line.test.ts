import { describe, expect, test } from 'vitest';
import { errorLine } from '../../../src/domain/retry/error-line.ts';

/** What tools print when they fail, shortened in the middle; and the line that says what is wrong. */
const CASES: [tool: string, says: string, ...outputs: string[]][] = [
  [
    'node: an uncaught error with fields',
    "Error: ENOENT: no such file or directory, open 'conf.json'",
    `node:fs:448
    return binding.readFileUtf8(path, stringToFlags(options.flag));
                   ^

Error: ENOENT: no such file or directory, open 'conf.json'
    at Object.readFileSync (node:fs:448:20)
    at load (/srv/app/b.js:2:39)
    at node:internal/main/run_main_module:28:49 {
  errno: -2,
  code: 'ENOENT',
  syscall: 'open',
  path: 'conf.json'
}

Node.js v20.20.2
`,
  ],
  [
    'node: an error of several lines',
    'AssertionError [ERR_ASSERTION]: Expected values to be loosely deep-equal:',
    `node:assert:90
  throw new AssertionError(obj);
  ^

AssertionError [ERR_ASSERTION]: Expected values to be loosely deep-equal:

{
  a: 1
}

should loosely deep-equal

{
  a: 2
}
    at [eval]:1:19
    at node:internal/main/eval_string:51:3 {
  generatedMessage: true,
  code: 'ERR_ASSERTION',
  actual: { a: 1 },
  expected: { a: 2 },
  operator: 'deepEqual'
}

Node.js v20.20.2
`,
  ],
  [
    'node: an error with a cause',
    'Error: outer',
    `[eval]:1
throw new Error("outer",{cause:new Error("inner")})
^

Error: outer
    at [eval]:1:7
    ... 4 lines matching cause stack trace ...
    at node:internal/main/eval_string:51:3 {
  [cause]: Error: inner
      at [eval]:1:32
      at node:internal/main/eval_string:51:3
}

Node.js v20.20.2
`,
  ],
  [
    'node: a value that is not an error',
    '{ a: 1 }',
    `[eval]:1
throw {a:1}
^

{ a: 1 }

Node.js v20.20.2
`,
  ],
  [
    'node: an error that the program prints itself',
    'Error: no such account',
    `Error: no such account
    at find (/srv/app/b.js:2:39)
    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)
`,
  ],
  [
    'npm: a missing script',
    'Missing script: "nosuch"',
    `npm error Missing script: "nosuch"
npm error
npm error To see a list of scripts, run:
npm error   npm run
npm error A complete log of this run can be found in: /srv/.npm/_logs/2026-01-29T05_57_07_007Z-debug-0.log
`,
  ],
  [
    'npm: wrong usage',
    'The `npm ci` command can only install with an existing package-lock.json or',
    `npm error code EUSAGE
npm error
npm error The \`npm ci\` command can only install with an existing package-lock.json or
npm error npm-shrinkwrap.json with lockfileVersion >= 1. Run an install with npm@5 or
npm error later to generate a package-lock.json file, then try again.
npm error
npm error aliases: clean-install, ic, install-clean, isntall-clean
npm error
npm error Run "npm help ci" for more info
npm error A complete log of this run can be found in: /srv/.npm/_logs/2026-01-29T05_57_07_532Z-debug-0.log
`,
  ],
  [
    'npm: a package that is not there',
    '404 Not Found - GET https://packages.example/nosuch-package - Not found',
    `npm error code E404
npm error 404 Not Found - GET https://packages.example/nosuch-package - Not found
npm error 404
npm error 404  'nosuch-package@*' is not in this registry.
npm error A complete log of this run can be found in: /srv/.npm/_logs/2026-01-29T05_57_07_532Z-debug-0.log
`,
  ],
  [
    'npm: a script that has said why, in the words of an older npm',
    'TypeError: bad',
    `[eval]:1
throw new TypeError("bad\\nsecond line")
^

TypeError: bad
second line
    at [eval]:1:7

Node.js v16.20.2
npm ERR! code ELIFECYCLE
npm ERR! errno 1
npm ERR! x@1.0.0 build: \`node b.js\`
npm ERR! Exit status 1
npm ERR!
npm ERR! Failed at the x@1.0.0 build script.
npm ERR! This is probably not a problem with npm. There is likely additional logging output above.

npm ERR! A complete log of this run can be found in:
npm ERR!     /srv/.npm/_logs/2026-01-29T05_57_07_532Z-debug.log
`,
  ],
  [
    'npm: a script of a workspace that has said why on stdout',
    "../tsx/a.ts(1,7): error TS2322: Type 'string' is not assignable to type 'number'.",
    `npm error Lifecycle script \`tsc\` failed with error:
npm error code 1
npm error path /srv/app/a
npm error workspace a@1.0.0
npm error location /srv/app/a
npm error command failed
npm error command sh -c tsc --noEmit
`,
    `
> x@1.0.0 tsc
> tsc --noEmit -p ../tsx

../tsx/a.ts(1,7): error TS2322: Type 'string' is not assignable to type 'number'.
../tsx/a.ts(1,30): error TS2322: Type 'number' is not assignable to type 'string'.
`,
  ],
  ['npm: a script that says nothing', '> exit 3', '', '\n> x@1.0.0 quiet\n> exit 3\n\n'],
  [
    'tsc, for people',
    "a.ts:1:7 - error TS2322: Type 'string' is not assignable to type 'number'.",
    `a.ts:1:7 - error TS2322: Type 'string' is not assignable to type 'number'.

1 const x: number = "a"; const y: string = 3;
        ~

a.ts:1:30 - error TS2322: Type 'number' is not assignable to type 'string'.

1 const x: number = "a"; const y: string = 3;
                               ~


Found 2 errors in the same file, starting at: a.ts:1

`,
  ],
  [
    'pytest',
    'FAILED test_a.py::test_sum - AssertionError: wrong sum',
    `============================= test session starts ==============================
platform linux -- Python 3.11.7, pytest-9.0.3, pluggy-1.6.0
collected 2 items

test_a.py .F                                                             [100%]

=================================== FAILURES ===================================
___________________________________ test_sum ___________________________________

    def test_sum():
        total = 1 + 1
>       assert total == 3, "wrong sum"
E       AssertionError: wrong sum
E       assert 2 == 3

test_a.py:5: AssertionError
=========================== short test summary info ============================
FAILED test_a.py::test_sum - AssertionError: wrong sum
========================= 1 failed, 1 passed in 0.67s ==========================
`,
  ],
  [
    'pytest, quiet and without a summary',
    'AssertionError: wrong sum',
    `>       assert total == 3, "wrong sum"
E       AssertionError: wrong sum
E       assert 2 == 3

test_a.py:5: AssertionError
1 failed, 1 passed in 1.11s
`,
  ],
  [
    'pytest: no such file',
    'ERROR: file or directory not found: nosuch.py',
    `collected 0 items

============================ no tests ran in 1.07s =============================
ERROR: file or directory not found: nosuch.py

`,
  ],
  [
    'python',
    'ValueError: no such thing: 7',
    `Traceback (most recent call last):
  File "/srv/app/x.py", line 3, in <module>
    f()
  File "/srv/app/x.py", line 2, in f
    def f(): raise ValueError("no such thing: 7")
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
ValueError: no such thing: 7
`,
  ],
  [
    'unittest',
    'AssertionError: 2 != 3',
    `F
======================================================================
FAIL: test_sum (test_b.T.test_sum)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "/srv/app/test_b.py", line 4, in test_sum
    self.assertEqual(1 + 1, 3)
AssertionError: 2 != 3

----------------------------------------------------------------------
Ran 1 test in 0.000s

FAILED (failures=1)
`,
  ],
  [
    'make: a compiler below it',
    'a.c:1:20: error: ‘foo’ undeclared (first use in this function)',
    `a.c: In function ‘main’:
a.c:1:20: error: ‘foo’ undeclared (first use in this function)
    1 | int main(){ return foo }
      |                    ^~~
a.c:1:20: note: each undeclared identifier is reported only once for each function it appears in
a.c:1:23: error: expected ‘;’ before ‘}’ token
    1 | int main(){ return foo }
      |                       ^~
      |                       ;
make: *** [Makefile:4: a.o] Error 1
`,
    'gcc -c a.c\n',
  ],
  [
    'make: a linter that writes to stdout',
    'src/a.js: 3 problems',
    'make: *** [m2:2: lint] Error 2\n',
    'checking\nsrc/a.js: 3 problems\n',
  ],
  ['make: nothing but make', 'make: *** [Makefile:2: quiet] Error 2', 'make: *** [Makefile:2: quiet] Error 2\n', ''],
  [
    'make: no rule',
    "make: *** No rule to make target 'nosuch'.  Stop.",
    "make: *** No rule to make target 'nosuch'.  Stop.\n",
  ],
  [
    'cargo build',
    'error[E0308]: mismatched types',
    `   Compiling r v0.1.0 (/srv/app/rust)
error[E0308]: mismatched types
 --> src/main.rs:1:25
  |
1 | fn main(){ let x: i32 = "a"; println!("{}", x); }
  |                   ---   ^^^ expected \`i32\`, found \`&str\`
  |                   |
  |                   expected due to this

For more information about this error, try \`rustc --explain E0308\`.
error: could not compile \`r\` (bin "r") due to 1 previous error
`,
  ],
  [
    'cargo test',
    'assertion `left == right` failed',
    `   Compiling r v0.1.0 (/srv/app/rust)
    Finished \`test\` profile [unoptimized + debuginfo] target(s) in 1.06s
     Running unittests src/main.rs (target/debug/deps/r-235c992475df4e6c)
error: test failed, to rerun pass \`--bin r\`
`,
    `
running 1 test
test t ... FAILED

failures:

---- t stdout ----

thread 't' (28525) panicked at src/main.rs:2:17:
assertion \`left == right\` failed
  left: 1
 right: 2
note: run with \`RUST_BACKTRACE=1\` environment variable to display a backtrace


failures:
    t

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.37s

`,
  ],
  [
    'rust: a panic with a backtrace',
    'index out of bounds: the len is 0 but the index is 3',
    `
thread 'main' (28526) panicked at src/main.rs:1:54:
index out of bounds: the len is 0 but the index is 3
stack backtrace:
   0: __rustc::rust_begin_unwind
             at /rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/std/src/panicking.rs:689:5
   6: r::main
             at ./src/main.rs:1:54
note: Some details are omitted, run with \`RUST_BACKTRACE=full\` for a verbose backtrace.
`,
  ],
  [
    'go build',
    './main.go:4:2: undefined: foo',
    '# example.com/x\n./main.go:4:2: undefined: foo\n./main.go:5:2: undefined: bar\n',
  ],
  [
    'go test',
    'a_test.go:6: wrong sum: 2',
    '',
    `--- FAIL: TestSum (0.00s)
    a_test.go:6: wrong sum: 2
FAIL
FAIL\texample.com/x\t0.002s
FAIL
`,
  ],
  [
    'go run: a panic',
    'panic: runtime error: index out of range [5] with length 3',
    `panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.main()
\t/srv/app/main.go:5 +0x1d
exit status 2
`,
  ],
  [
    'node --test, as TAP',
    'Expected values to be strictly equal:',
    '',
    `TAP version 13
# Subtest: adds
not ok 1 - adds
  ---
  duration_ms: 2.512708
  failureType: 'testCodeFailure'
  error: |-
    Expected values to be strictly equal:

    2 !== 3

  code: 'ERR_ASSERTION'
  stack: |-
    TestContext.<anonymous> (/srv/app/t.test.js:2:22)
  ...
1..1
# tests 1
# pass 0
# fail 1
# duration_ms 133.163249
`,
  ],
  [
    'jest',
    'expect(received).toBe(expected) // Object.is equality',
    `FAIL ./a.test.js
  ✕ adds (3 ms)

  ● adds

    expect(received).toBe(expected) // Object.is equality

    Expected: 3
    Received: 2

    > 1 | test('adds', () => expect(1 + 1).toBe(3));
        |                                  ^

      at Object.toBe (a.test.js:1:34)

Test Suites: 1 failed, 1 total
Tests:       1 failed, 1 total
Snapshots:   0 total
Time:        0.512 s
Ran all test suites.
`,
  ],
  [
    'vitest',
    'AssertionError: expected 2 to be 3 // Object.is equality',
    `
⎯⎯⎯⎯⎯⎯⎯ Failed Tests 1 ⎯⎯⎯⎯⎯⎯⎯

 FAIL  t.test.ts > adds
AssertionError: expected 2 to be 3 // Object.is equality

- Expected
+ Received

 ❯ t.test.ts:2:42

⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯[1/1]⎯

`,
    ' Test Files  1 failed (1)\n      Tests  1 failed (1)\n   Duration  251ms\n',
  ],
  [
    'eslint',
    "1:5  error  'a' is assigned a value but never used  no-unused-vars",
    '',
    `
/srv/app/a.js
  1:5  error  'a' is assigned a value but never used  no-unused-vars
  2:1  error  Missing semicolon                       semi

✖ 2 problems (2 errors, 0 warnings)
  1 error and 0 warnings potentially fixable with the \`--fix\` option.

`,
  ],
  [
    'java',
    'Caused by: java.io.IOException: disk full',
    `Exception in thread "main" java.lang.IllegalStateException: cannot save
\tat a.B.main(B.java:3)
Caused by: java.io.IOException: disk full
\tat a.B.save(B.java:9)
\t... 1 more
`,
  ],
  ['ruby', "a.rb:1:in `f': boom (RuntimeError)", "a.rb:1:in `f': boom (RuntimeError)\n\tfrom a.rb:3:in `<main>'\n"],
  ['a shell', 'sh: 1: nosuchcmd: not found', 'sh: 1: nosuchcmd: not found\n'],
  [
    'git push',
    "error: failed to push some refs to '/srv/x.git'",
    `To /srv/x.git
 ! [rejected]        main -> main (fetch first)
error: failed to push some refs to '/srv/x.git'
hint: Updates were rejected because the remote contains work that you do not
hint: have locally.
`,
  ],
  ['ls', "ls: invalid option -- 'Z'", "ls: invalid option -- 'Z'\nTry 'ls --help' for more information.\n"],
  [
    'a tool that names its log',
    'deploy: the host refuses the key',
    `deploy: the host refuses the key
The full log is in /var/tmp/deploy-7.log
`,
  ],
  [
    'warnings on stderr only',
    'the database is locked',
    'npm warn deprecated glob@7.2.3\n(node:123) Warning: x\n(Use `node --trace-warnings ...` to show where the warning was created)\n',
    'migrating\nthe database is locked\n',
  ],
  ['a line about logs that is the error', 'logs/a.txt: Permission denied', 'logs/a.txt: Permission denied\n'],
  [
    'forge: an error and a hint over several lines',
    'error[IO_ERROR]: writing the record of task a failed: ENOSPC: no space left on device',
    `error[IO_ERROR]: writing the record of task a failed: ENOSPC: no space
                 left on device
hint: Nothing was changed. Check free space and permissions of the
      state tree, then repeat.
`,
  ],
  ['an output in which nothing counts', 'hint: see the manual', 'hint: see the manual\n'],
  ['no output', '', '', '\n \n'],
  [
    'node: a promise that is rejected with no error',
    'The promise rejected with the reason "no disk".',
    `node:internal/process/promises:288
            triggerUncaughtException(err, true /* fromPromise */);
            ^

[UnhandledPromiseRejection: This error originated either by throwing inside of an async function without a catch block, or by rejecting a promise which was not handled with .catch(). The promise rejected with the reason "no disk".] {
  code: 'ERR_UNHANDLED_REJECTION'
}

Node.js v20.20.2
`,
  ],
  [
    'node: a heap that is full',
    'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory',
    `<--- JS stacktrace --->

FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory
 1: 0xb0 node::Abort() [node]
----- Native stack trace -----

 1: 0xca5580 node::OnFatalError [node]
`,
  ],
  [
    'make: with other jobs at work',
    'a.c:1:10: fatal error: nope.h: No such file or directory',
    `a.c:1:10: fatal error: nope.h: No such file or directory
    1 | #include <nope.h>
      |          ^~~~~~~~
compilation terminated.
make: *** [Makefile:3: a.o] Error 1
make: *** Waiting for unfinished jobs....
`,
  ],
  [
    'pytest: too little coverage',
    'FAIL Required test coverage of 80% not reached. Total coverage: 50.00%',
    '',
    `FAIL Required test coverage of 80% not reached. Total coverage: 50.00%
============ 4 passed in 0.12s ============
`,
  ],
  [
    'pytest: an option that it does not know',
    'error: unrecognized arguments: --nope',
    `ERROR: usage: pytest [options] [file_or_dir] [...]
pytest: error: unrecognized arguments: --nope
  inifile: None
  rootdir: /srv/app
`,
  ],
  [
    'go: a module that is missing',
    'go: example.com/x@v1: no required module provides package',
    'go: example.com/x@v1: no required module provides package\n\tgo get example.com/x\n',
  ],
  [
    'git: a repository that cannot be read',
    'fatal: Could not read from remote repository.',
    `fatal: Could not read from remote repository.

Please make sure you have the correct access rights
and the repository exists.
`,
  ],
  [
    'git: a commit that cannot be signed',
    'error: gpg failed to sign the data',
    'error: gpg failed to sign the data\nfatal: failed to write commit object\n',
  ],
  [
    'pip: a package that is missing',
    'ERROR: No matching distribution found for nope==9',
    `ERROR: No matching distribution found for nope==9

[notice] A new release of pip is available: 23.0.1 -> 24.0
[notice] To update, run: pip install --upgrade pip
`,
  ],
];

describe('the error line of an output', () => {
  test.each(CASES)('errorLine finds what is wrong in the output of %s', (_tool, says, ...outputs) => {
    expect(errorLine(outputs)).toBe(says);
  });

  test('an error that a program got over does not hide the one that ended it', () => {
    const output = 'Error: cannot connect, again in 1 s\n    at dial (/srv/app/a.js:1:1)\nfatal: the lock is gone\n';
    expect(errorLine([output])).toBe('fatal: the lock is gone');
  });
});
