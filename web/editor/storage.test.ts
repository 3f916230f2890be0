// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ownWindowName, participantPrefix, participantStorage, type KeyValueStore } from './storage.ts'

function memoryStore(): KeyValueStore & { map: Map<string, string> } {
  const map = new Map<string, string>()
  return {
    map,
    get length() { return map.size },
    key: (index) => [...map.keys()][index] ?? null,
    getItem: (key) => map.get(key) ?? null,
    setItem: (key, value) => void map.set(key, value),
    removeItem: (key) => void map.delete(key),
  }
}

test('a page under /user/N/ has that path as its prefix, other pages have none', () => {
  assert.equal(participantPrefix('/user/7/'), '/user/7/')
  assert.equal(participantPrefix('/user/7'), '/user/7/')
  assert.equal(participantPrefix('/class/user/12/x/y'), '/class/user/12/')
  assert.equal(participantPrefix('/user/7x/'), null)
  assert.equal(participantPrefix('/'), null)
})

test('two participants with the same keys see their own values only', () => {
  const store = memoryStore()
  const one = participantStorage(store, '/user/1/')
  const eleven = participantStorage(store, '/user/11/')
  one.setItem('draft', 'a')
  eleven['draft'] = 'b'
  assert.equal(one['draft'], 'a')
  assert.equal(eleven.getItem('draft'), 'b')
  assert.deepEqual([one.length, one.key(0), one.key(1)], [1, 'draft', null])
  one.clear()
  assert.equal(one.getItem('draft'), null)
  assert.equal(eleven.getItem('draft'), 'b')
})

test('property access does what method access does', () => {
  const store = memoryStore()
  const storage = participantStorage(store, '/user/1/')
  storage['count'] = 3 as unknown as string
  assert.equal(storage.getItem('count'), '3')
  assert.equal('count' in storage, true)
  assert.equal('other' in storage, false)
  assert.equal(storage['other'], undefined)
  assert.deepEqual(Object.keys(storage), ['count'])
  assert.deepEqual({ ...storage }, { count: '3' })
  delete storage['count']
  assert.equal(store.map.size, 0)
})

test('a tab that walks to another participant loses its client id, a reload keeps it', () => {
  const session = memoryStore()
  assert.equal(ownWindowName(session, '/user/1/', ''), '')
  assert.equal(ownWindowName(session, '/user/1/', 'client-of-1'), 'client-of-1')
  assert.equal(ownWindowName(session, '/user/2/', 'client-of-1'), '')
})
