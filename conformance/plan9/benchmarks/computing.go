// Work for the processor alone: integers, floating point, memory. Says on its last line how long it took.
package main

import (
	"crypto/sha256"
	"fmt"
	"math"
	"sort"
	"time"
)

// fannkuch flips permutations (the Computer Language Benchmarks Game).
func fannkuch(n int) (checksum, most int) {
	p, q, s := make([]int, n), make([]int, n), make([]int, n)
	for i := range p {
		p[i], s[i] = i, i
	}
	sign := 1
	for {
		if first := p[0]; first != 0 {
			copy(q, p)
			flips := 1
			for {
				k := q[first]
				if k == 0 {
					break
				}
				q[first] = first
				for i, j := 1, first-1; i < j; i, j = i+1, j-1 {
					q[i], q[j] = q[j], q[i]
				}
				first = k
				flips++
			}
			checksum += sign * flips
			if flips > most {
				most = flips
			}
		}
		if sign == 1 {
			p[0], p[1] = p[1], p[0]
			sign = -1
			continue
		}
		p[1], p[2] = p[2], p[1]
		sign = 1
		for i := 2; i < n; i++ {
			if s[i] != 0 {
				s[i]--
				break
			}
			if i == n-1 {
				return
			}
			s[i] = i
			first := p[0]
			copy(p, p[1:i+2])
			p[i+1] = first
		}
	}
}

func spectral(n int) float64 {
	a := func(i, j int) float64 { return 1 / float64((i+j)*(i+j+1)/2+i+1) }
	times := func(v, out []float64, turned bool) {
		for i := range out {
			sum := 0.0
			for j := range v {
				if turned {
					sum += a(j, i) * v[j]
				} else {
					sum += a(i, j) * v[j]
				}
			}
			out[i] = sum
		}
	}
	u, v, w := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range u {
		u[i] = 1
	}
	for i := 0; i < 10; i++ {
		times(u, w, false)
		times(w, v, true)
		times(v, w, false)
		times(w, u, true)
	}
	var uv, vv float64
	for i := range u {
		uv += u[i] * v[i]
		vv += v[i] * v[i]
	}
	return math.Sqrt(uv / vv)
}

func primes(n int) int {
	composite := make([]bool, n+1)
	count := 0
	for i := 2; i <= n; i++ {
		if composite[i] {
			continue
		}
		count++
		for k := i * i; k <= n && k > 0; k += i {
			composite[k] = true
		}
	}
	return count
}

func table(n int) int {
	counts := map[uint32]int{}
	x := uint32(1)
	for i := 0; i < n; i++ {
		x = x*1664525 + 1013904223
		counts[x>>16]++
	}
	keys := make([]int, 0, len(counts))
	for key, count := range counts {
		keys = append(keys, int(key)*count%7919)
	}
	sort.Ints(keys)
	return keys[len(keys)/2]
}

func main() {
	start := time.Now()
	fmt.Println(fannkuch(10))
	fmt.Printf("%.9f\n", spectral(700))
	fmt.Println(primes(8_000_000))
	fmt.Println(table(3_000_000))
	fmt.Printf("%x\n", sha256.Sum256(make([]byte, 32<<20)))
	fmt.Println("seconds", time.Since(start).Seconds())
}
