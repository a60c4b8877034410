/** Cycles in a graph. Pure. */

export type Graph = readonly (readonly number[])[];

/**
 * One cycle for each strongly connected component, as its nodes in order (the last points to the first). Edges from a node to
 * itself are ignored. The cycle is the shortest through the component's lowest node. Linear in nodes and edges, whatever the
 * number of cycles.
 */
export function findCycles(edges: Graph): number[][] {
  return knots(edges).map((knot) => cycleIn(edges, knot));
}

/** The strongly connected components of two nodes or more. Source: Tarjan (1972), with an explicit stack instead of recursion. */
function knots(edges: Graph): number[][] {
  const order = new Int32Array(edges.length).fill(-1);
  const low = new Int32Array(edges.length);
  const onStack = new Uint8Array(edges.length);
  const nextEdge = new Int32Array(edges.length);
  const stack: number[] = [];
  const found: number[][] = [];
  let count = 0;
  for (let root = 0; root < edges.length; root++) {
    if (order[root] !== -1) continue;
    const path = [root];
    for (let node = path.at(-1); node !== undefined; node = path.at(-1)) {
      if (order[node] === -1) {
        order[node] = low[node] = count++;
        onStack[node] = 1;
        stack.push(node);
      }
      const at = nextEdge[node] ?? 0;
      nextEdge[node] = at + 1;
      const next = edges[node]?.[at];
      if (next !== undefined) {
        if (order[next] === -1) path.push(next);
        else if (onStack[next] === 1) low[node] = Math.min(low[node] as number, order[next] as number);
        continue;
      }
      path.pop();
      const parent = path.at(-1);
      if (parent !== undefined) low[parent] = Math.min(low[parent] as number, low[node] as number);
      if (low[node] !== order[node]) continue;
      const knot = stack.splice(stack.lastIndexOf(node));
      for (const member of knot) onStack[member] = 0;
      if (knot.length > 1) found.push(knot);
    }
  }
  return found;
}

/** Breadth first from the lowest node of the component until an edge leads back to it. */
function cycleIn(edges: Graph, knot: readonly number[]): number[] {
  const members = new Set(knot);
  const start = knot.reduce((a, b) => Math.min(a, b));
  const cameFrom = new Map<number, number>();
  const queue = [start];
  for (const node of queue) {
    for (const next of edges[node] ?? []) {
      if (next === start && node !== start) return pathTo(node, start, cameFrom);
      if (!members.has(next) || cameFrom.has(next) || next === start) continue;
      cameFrom.set(next, node);
      queue.push(next);
    }
  }
  return [...knot];
}

function pathTo(end: number, start: number, cameFrom: ReadonlyMap<number, number>): number[] {
  const path = [end];
  for (let node = end; node !== start; ) {
    node = cameFrom.get(node) ?? start;
    path.push(node);
  }
  return path.reverse();
}
