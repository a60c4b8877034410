/** Plans of any size, the same every time. */

/** Numbers in [0, 1) from a seed. Source: mulberry32, public domain. */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An acyclic graph: every node with the indexes of up to three earlier ones. */
export function randomGraph(size, seed = 1) {
  const random = seeded(seed);
  return Array.from({ length: size }, (_, index) => {
    const wanted = Math.min(index, Math.floor(random() * 4));
    return [...new Set(Array.from({ length: wanted }, () => Math.floor(random() * index)))];
  });
}

export function taskId(index) {
  return `task-${String(index).padStart(6, '0')}`;
}

/** Tasks a phase, so that a large plan has many phases. */
const PHASE_SIZE = 100;

/** A plan over `graph`; `run` is every task's command, null for tasks that wait for an agent. */
export function planOver(graph, run = null) {
  const lines = ['project: bench', 'phases:'];
  for (const [index, needs] of graph.entries()) {
    if (index % PHASE_SIZE === 0) {
      const number = index / PHASE_SIZE + 1;
      lines.push(`  - id: phase-${number}`, `    name: Phase ${number}`, '    tasks:');
    }
    lines.push(`      - id: ${taskId(index)}`, `        title: Task number ${index}`, '        priority: P1');
    if (needs.length > 0) lines.push(`        depends_on: [${needs.map(taskId).join(', ')}]`);
    if (run !== null) lines.push(`        run: ${JSON.stringify(run)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** A plan of independent tasks for agents. */
export function plainPlan(size) {
  return planOver(Array.from({ length: size }, () => []));
}
