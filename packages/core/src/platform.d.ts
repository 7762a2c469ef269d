/** The platform names core may use, and no others: what every modern JavaScript runtime has. */

declare class TextEncoder {
  encode(text?: string): Uint8Array<ArrayBuffer>;
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean });
  decode(bytes?: Uint8Array): string;
}
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
  throwIfAborted(): void;
}
declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}
declare module "node:crypto" {
  export function createHash(algorithm: "sha256"): {
    update(data: Uint8Array | string): { digest(): Uint8Array<ArrayBuffer> };
  };
}
declare module "node:zlib" {
  export function crc32(data: Uint8Array, value?: number): number;
  export function zstdCompressSync(data: Uint8Array): Uint8Array<ArrayBuffer>;
  export function zstdDecompressSync(data: Uint8Array, options?: { maxOutputLength?: number }): Uint8Array<ArrayBuffer>;
}
declare module "node:async_hooks" {
  export class AsyncLocalStorage<T> {
    run<R>(store: T, callback: () => R): R;
    getStore(): T | undefined;
  }
}
