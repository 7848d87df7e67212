export const Code = Object.freeze({
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
});

export class PlugindError extends Error {
  constructor(code, reason, message) {
    super(message);
    this.name = 'PlugindError';
    this.code = code;
    this.reason = reason;
  }

  toString() {
    const name = Object.keys(Code).find((key) => Code[key] === this.code) ?? this.code;
    return `${name}${this.reason && ` (${this.reason})`}: ${this.message}`;
  }
}
