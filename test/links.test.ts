/** Links between the pages of the documentation. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const ROOT = path.join(import.meta.dirname, '..');
const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  ...fs.readdirSync(path.join(ROOT, 'spec')).map((name) => `spec/${name}`),
];

const textOf = (page: string) => fs.readFileSync(path.join(ROOT, page), 'utf8').replaceAll(/^```.*?^```/gms, '');

/** The names of the places in a page that a link can lead to, as GitHub makes them of headings. */
function anchorsIn(page: string): Set<string> {
  const headings = [...textOf(page).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
  return new Set([...headings, ...[...textOf(page).matchAll(/<a id="(.*?)">/g)].map(([, id = '']) => id)]);
}

test.each(PAGES.filter((page) => page.endsWith('.md')))(
  'every link of %s leads to a file and a place in it',
  (page) => {
    const links = [...textOf(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)];
    const broken = links.filter(([, file = '', anchor]) => {
      const target = file === '' ? page : path.join(path.dirname(page), file);
      if (!fs.existsSync(path.join(ROOT, target))) return true;
      return anchor !== undefined && !anchorsIn(target).has(anchor);
    });
    expect(broken.map(([link]) => link)).toEqual([]);
  },
);
