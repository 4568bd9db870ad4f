/** Whether an id, a decimal string of up to 19 digits, is greater than another one; null is before all. */
export function isAfter(id: string, other: string | null | undefined): boolean {
  if (other === null || other === undefined) return true;
  return id.length === other.length ? id > other : id.length > other.length;
}

export function latest(id: string | null, other: string | null): string | null {
  if (id === null) return other;
  return isAfter(id, other) ? id : other;
}

/** 128 random bits; `crypto.randomUUID` is missing on pages without TLS. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
