// Package hostwork is what a Go program that uses plugins does besides.
package hostwork

import "crypto/sha256"

// Until hashes until result has something, and returns that.
func Until[T any](result <-chan T) T {
	var sum [sha256.Size]byte
	for {
		select {
		case value := <-result:
			return value
		default:
			for range 1000 {
				sum = sha256.Sum256(sum[:])
			}
		}
	}
}
