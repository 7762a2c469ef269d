/**
 * What a row of msgpack tokens holds, seen without decoding it: before msgpackr is let near bytes of a stranger.
 *
 * msgpackr knows more than `encodeValue` writes: texts that lie behind the value, which each of thousands of extensions
 * may have made anew (a megabyte that takes thirty gigabytes), regular expressions, records with ids of two bytes.
 */

/** What was found; the first of `foreign` ends the look. */
export interface TokensFound {
  /** Something that `encodeValue` never writes. */
  readonly isForeign: boolean;
  /** A reference to an object that was met before. */
  readonly hasReference: boolean;
}

/** Looks at each token's head and steps over what it holds; what a container holds are tokens like others. */
export function lookAtTokens(bytes: Uint8Array): TokensFound {
  let hasReference = false;
  let at = 0;
  while (at < bytes.length) {
    const token = bytes[at] ?? 0;
    const head = heads[token] ?? 0;
    if (head >= 0) {
      at += head;
      continue;
    }
    const lengthBytes = -head & 7;
    const length = lengthBytes === 0 ? fixedLength(token) : lengthAt(bytes, at + 1, lengthBytes);
    if (token === 0xc1) return { isForeign: true, hasReference };
    if (!isExtension(token)) {
      at += 1 + lengthBytes + length;
      continue;
    }
    const type = bytes[at + 1 + lengthBytes];
    const isRecord = type === recordType;
    const isDataView = type === typedArrayType && bytes[at + 2 + lengthBytes] === dataViewCode;
    if (foreignTypes.has(type) || isDataView || (isRecord && token !== 0xd4)) return { isForeign: true, hasReference };
    hasReference ||= type === referenceType;
    at += 2 + lengthBytes + length;
  }
  return { isForeign: false, hasReference };
}

const recordType = 0x72;
const referenceType = 0x70;
const typedArrayType = 0x74;
const dataViewCode = 17;
/** Texts behind the value, an Error in msgpackr's way, a regular expression. */
const foreignTypes: ReadonlySet<number | undefined> = new Set([0x62, 0x65, 0x78]);

/** Bin, ext and text with a length before them. */
const lengths: Readonly<Record<number, number | undefined>> = {
  0xc4: 1,
  0xc5: 2,
  0xc6: 4,
  0xc7: 1,
  0xc8: 2,
  0xc9: 4,
  0xd9: 1,
  0xda: 2,
  0xdb: 4,
};
/** Numbers, and how many there are of what follows in an array or map. */
const numbers: Readonly<Record<number, number | undefined>> = {
  0xca: 4,
  0xcb: 8,
  0xcc: 1,
  0xcd: 2,
  0xce: 4,
  0xcf: 8,
  0xd0: 1,
  0xd1: 2,
  0xd2: 4,
  0xd3: 8,
  0xdc: 2,
  0xdd: 4,
  0xde: 2,
  0xdf: 4,
};

/** By token: how many bytes it takes with what it holds itself; or, negative, that its length is to be read. */
const heads: Int8Array = Int8Array.from({ length: 256 }, (_, token) => headOf(token));

function headOf(token: number): number {
  if (token >= 0xa0 && token <= 0xbf) return 1 + token - 0xa0;
  if (token < 0xc0 || token >= 0xe0) return 1;
  if (token === 0xc1 || isFixedExtension(token)) return -8;
  const bytesOfLength = lengths[token];
  if (bytesOfLength !== undefined) return -bytesOfLength;
  return 1 + (numbers[token] ?? 0);
}

function isFixedExtension(token: number): boolean {
  return token >= 0xd4 && token <= 0xd8;
}

function isExtension(token: number): boolean {
  return isFixedExtension(token) || (token >= 0xc7 && token <= 0xc9);
}

function fixedLength(token: number): number {
  return 1 << (token - 0xd4);
}

function lengthAt(bytes: Uint8Array, at: number, count: number): number {
  let length = 0;
  for (let index = at; index < at + count; index += 1) length = length * 256 + (bytes[index] ?? 0);
  return length;
}
