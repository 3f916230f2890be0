// SPDX-License-Identifier: MIT
// Keeps the browser storage of different participants apart. All of /user/1/, /user/2/ ... share one origin,
// and the stock front end writes its drafts and open tabs under fixed keys. This makes one view per
// participant: the same interface as Storage, every key with the participant's path in front.

/** What of Storage the view needs underneath. */
export interface KeyValueStore {
  readonly length: number
  key(index: number): string | null
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

/** The path up to and with `/user/N/`, or null where pages of several participants do not share an origin. */
export function participantPrefix(pathname: string): string | null {
  return /^(?:.*?)\/user\/[0-9]+(?:\/|$)/.exec(pathname)?.[0].replace(/\/?$/, '/') ?? null
}

/**
 * A view of `store` that holds only keys of `prefix`, for method access (`getItem`) and for property access
 * (`localStorage['x']`, `in`, `delete`, `Object.keys`) alike; the stock front end uses both.
 * It is not an instance of Storage on purpose: libraries that see one build a StorageEvent with it, which
 * throws.
 */
export function participantStorage(store: KeyValueStore, prefix: string): Storage {
  const ownKeys = (): string[] => {
    const keys: string[] = []
    for (let index = 0; index < store.length; ++index) {
      const key = store.key(index)
      if (key?.startsWith(prefix)) keys.push(key.slice(prefix.length))
    }
    return keys
  }
  const methods = {
    getItem: (key: string) => store.getItem(prefix + key),
    setItem: (key: string, value: string) => store.setItem(prefix + key, value),
    removeItem: (key: string) => store.removeItem(prefix + key),
    clear: () => ownKeys().forEach((key) => store.removeItem(prefix + key)),
    key: (index: number) => ownKeys()[index] ?? null,
  }
  const isMethod = (name: string): name is keyof typeof methods => Object.hasOwn(methods, name)
  const target: Record<string, unknown> = {}
  return new Proxy(target, {
    get(_, name) {
      if (typeof name === 'symbol') return undefined
      if (name === 'length') return ownKeys().length
      if (isMethod(name)) return methods[name]
      return store.getItem(prefix + name) ?? Reflect.get(Object.prototype, name)
    },
    set(_, name, value) {
      if (typeof name === 'symbol') return false
      store.setItem(prefix + name, String(value))
      return true
    },
    deleteProperty(_, name) {
      if (typeof name !== 'symbol') store.removeItem(prefix + name)
      return true
    },
    has: (_, name) =>
      typeof name !== 'symbol' &&
      (name === 'length' || isMethod(name) || store.getItem(prefix + name) !== null),
    ownKeys,
    getOwnPropertyDescriptor(_, name) {
      const value = typeof name === 'symbol' ? null : store.getItem(prefix + name)
      return value === null ? undefined : { value, writable: true, enumerable: true, configurable: true }
    },
  }) as unknown as Storage
}

const kOwnerKey = 'atelier.owner'

/**
 * The stock front end keeps a tab's client id in `window.name`, which survives a walk from one participant's
 * page to another's in the same tab. Gives the name that the page of `prefix` may keep: the old one only if
 * it was its own.
 */
export function ownWindowName(session: KeyValueStore, prefix: string, name: string): string {
  const kept = session.getItem(kOwnerKey) === prefix ? name : ''
  session.setItem(kOwnerKey, prefix)
  return kept
}
