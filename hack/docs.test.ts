import { expect, test } from 'vitest'
import * as z from 'zod'
import { cel } from '../crds/common.ts'
import { kinds } from '../crds/index.ts'
import { defineKind } from '../crds/kind.ts'
import { toStructural } from './crd.ts'
import { fieldsOf } from './docs/fields.ts'
import { parseMeanings } from './docs/meanings.ts'
import { kindPages, requireMeanings } from './docs.ts'

const pages = new Map(kindPages(kinds))

test('every kind has a page with all its parts', () => {
  const names = kinds.map(({ kind }) => kind.replaceAll(/\B[A-Z]/g, '-$&').toLowerCase())
  expect([...pages.keys()]).toEqual(names.map((name) => `docs/kinds/${name}.md`))
  const headings = ['Example', 'Spec', 'What is refused', 'Status', 'Conditions', 'Reasons', 'Columns of kubectl get']
  for (const page of pages.values()) {
    expect([...page.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading)).toEqual(headings)
    expect(page).not.toContain('undefined')
  }
})

test('a page shows defaults, rules, reasons and the simplest sample', () => {
  const page = pages.get('docs/kinds/virtual-machine.md')
  expect(page).toContain(
    '| `spec.runStrategy` | `Always` or `RerunOnFailure` or `Manual` or `Halted` | `Always` | Always: it runs',
  )
  expect(page).toContain('| `spec.cpus` | integer, 1 to 256 | `1` |')
  expect(page).toContain('| `spec.memory` | string | required |')
  expect(page).toContain('| `spec.disks` | name each Disk once |')
  expect(page).toMatch(/\| `NoHostFits` \| No host can take the machine/)
  expect(page).toContain('name: hello')
  expect(page).not.toContain('name: with-disk')
  expect(page).toContain('[config/samples/virtual-machine-with-disk.yaml]')
})

test('a kind whose words nobody wrote down is refused', () => {
  const stranger = defineKind({
    group: 'test.holdfast.dev',
    version: 'v1',
    kind: 'Stranger',
    plural: 'strangers',
    shortNames: [],
    scope: 'Cluster',
    description: 'A kind that nobody knows.',
    spec: z.object({}),
    status: z.object({}),
    columns: [],
    selectableFields: [],
  })
  expect(() => kindPages([stranger])).toThrow('does not know the conditions and reasons of Stranger')
})

test('a word without a meaning is refused, and so is a meaning without a word', () => {
  const found = parseMeanings('## Disk\n\n| `Full`   | No space. | Make some. |\n').get('Disk')
  expect(found?.get('Full')).toEqual({ means: 'No space.', help: 'Make some.' })
  const words = { conditions: [], reasons: ['Full', 'Broken'] }
  expect(() => requireMeanings('Disk', words, found)).toThrow('lacks under "Disk": Broken')
  expect(() => requireMeanings('Disk', { conditions: [], reasons: [] }, found)).toThrow('Disk never says Full')
})

test('fields are listed with the entries of lists and maps, and without their default in the description', () => {
  const port = z.int32().min(1).max(9).default(5).describe('A port.')
  const entry = z.object({ port })
  const schema = z.object({
    list: z.array(entry).max(4).describe('A list.'),
    map: z.record(z.string(), z.string().max(9)).meta({ maxProperties: 3 }).optional().describe('A map.'),
    text: cel(z.string().max(9), { rule: "self != ''", message: 'write something' }).optional().describe('A text.'),
  })
  const rows = fieldsOf(toStructural(schema), 'spec').map(({ path, type, default: value }) => [path, type, value])
  expect(rows).toEqual([
    ['spec', 'object', 'required'],
    ['spec.list', 'list of objects, at most 4', 'required'],
    ['spec.list[].port', 'integer, 1 to 9', '`5`'],
    ['spec.map', 'map of strings', ''],
    ['spec.text', 'string', ''],
  ])
  const [, , ofPort, , ofText] = fieldsOf(toStructural(schema), 'spec')
  expect(ofPort?.description).toBe('A port.')
  expect(ofText?.refusals).toEqual(['write something'])
})
