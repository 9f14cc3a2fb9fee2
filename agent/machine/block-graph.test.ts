import { expect, test } from 'vitest'
import { blockGraph, topNode } from './block-graph.ts'

const layer = (name: string, format: 'qcow2' | 'raw' = 'qcow2') => ({ path: `/d/${name}`, format })
const id = '22222222-2222-4222-8222-222222222222'

test('Nodes of a blank disk never follow what its header says about a backing file', () => {
  const [file, format, ...others] = blockGraph({ id, layers: [layer('top')] }, 0, false)
  expect(others).toEqual([])
  expect(file).toMatchObject({ 'node-name': 'disk-0-file', filename: '/d/top', locking: 'on', 'read-only': false })
  expect(format).toMatchObject({ driver: 'qcow2', 'node-name': topNode(0), file: 'disk-0-file', backing: null })
})

test('Nodes come after those that they are backed by, and only the top one is written to', () => {
  const nodes = blockGraph({ id, layers: [layer('top'), layer('middle'), layer('base', 'raw')] }, 3, true)
  const names = nodes.map((node) => node['node-name'])
  expect(names).toEqual([
    'disk-3-base-2-file',
    'disk-3-base-2',
    'disk-3-base-1-file',
    'disk-3-base-1',
    'disk-3-file',
    'disk-3',
  ])
  expect(nodes.map((node) => node['read-only'])).toEqual([true, true, true, true, false, false])
  expect(nodes.flatMap((node) => ('backing' in node ? [node.backing] : []))).toEqual(['disk-3-base-2', 'disk-3-base-1'])
  // Raw has no such property, and QEMU refuses it.
  expect(nodes[1]).not.toHaveProperty('backing')
})

test('Nodes pass the page cache by only when they are told to, and never drop a flush', () => {
  for (const directIo of [true, false]) {
    const [file] = blockGraph({ id, layers: [layer('top')] }, 0, directIo)
    expect(file).toMatchObject({ cache: { direct: directIo, 'no-flush': false } })
  }
})

test('Nodes have names that QEMU accepts', () => {
  const layers = Array.from({ length: 100 }, () => layer('x'))
  const names = blockGraph({ id, layers }, 16, false).map((node) => node['node-name'])
  expect(Math.max(...names.map((name) => name.length))).toBeLessThanOrEqual(31)
  expect(new Set(names).size).toBe(names.length)
})
