// Floating point, to the last bit.
package main

import (
	"fmt"
	"math"
	"math/cmplx"
	"math/rand"
)

var special = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.5, 2, math.Pi, -math.E, 1e-310, 5e-324, 1e308, -1e308, math.Inf(1), math.Inf(-1), math.NaN(), 709.5, -745,
	1 << 31, 1<<63 - 1, 1e15 + 0.5, 0.1, 2.5, 3.5, -2.5,
}

func bits(f float64) uint64 {
	if math.IsNaN(f) {
		return 0x7ff8 << 48 // which one is nobody's promise
	}
	return math.Float64bits(f)
}

func main() {
	random := rand.New(rand.NewSource(1))
	values := append([]float64{}, special...)
	for i := 0; i < 200; i++ {
		values = append(values, random.NormFloat64()*math.Pow(10, float64(i%40-20)))
	}
	one := []struct {
		name string
		f    func(float64) float64
	}{
		{"sqrt", math.Sqrt}, {"cbrt", math.Cbrt}, {"exp", math.Exp}, {"exp2", math.Exp2}, {"expm1", math.Expm1}, {"log", math.Log},
		{"log10", math.Log10}, {"log2", math.Log2}, {"log1p", math.Log1p}, {"sin", math.Sin}, {"cos", math.Cos}, {"tan", math.Tan},
		{"asin", math.Asin}, {"acos", math.Acos}, {"atan", math.Atan}, {"sinh", math.Sinh}, {"cosh", math.Cosh}, {"tanh", math.Tanh},
		{"asinh", math.Asinh}, {"acosh", math.Acosh}, {"atanh", math.Atanh}, {"gamma", math.Gamma}, {"erf", math.Erf}, {"erfc", math.Erfc},
		{"j0", math.J0}, {"y1", math.Y1}, {"floor", math.Floor}, {"ceil", math.Ceil}, {"trunc", math.Trunc}, {"round", math.Round},
		{"even", math.RoundToEven}, {"abs", math.Abs}, {"logb", math.Logb},
	}
	for _, each := range one {
		sum := uint64(0)
		for _, v := range values {
			sum = sum*31 + bits(each.f(v))
		}
		fmt.Printf("%s %016x %016x\n", each.name, bits(each.f(0.7)), sum)
	}
	two := []struct {
		name string
		f    func(x, y float64) float64
	}{
		{"add", func(x, y float64) float64 { return x + y }}, {"sub", func(x, y float64) float64 { return x - y }},
		{"mul", func(x, y float64) float64 { return x * y }}, {"div", func(x, y float64) float64 { return x / y }},
		{"pow", math.Pow}, {"mod", math.Mod}, {"atan2", math.Atan2}, {"hypot", math.Hypot}, {"dim", math.Dim}, {"min", math.Min},
		{"max", math.Max}, {"rem", math.Remainder}, {"next", math.Nextafter},
		{"fma", func(x, y float64) float64 { return math.FMA(x, y, 0.1) }},
		{"float32", func(x, y float64) float64 { return float64(float32(x) * float32(y)) }},
	}
	for _, each := range two {
		sum := uint64(0)
		for _, x := range values {
			for _, y := range values[:60] {
				sum = sum*31 + bits(each.f(x, y))
			}
		}
		fmt.Printf("%s %016x %016x\n", each.name, bits(each.f(0.7, -1.3)), sum)
	}
	conversions := uint64(0)
	for _, v := range values {
		if math.Abs(v) < 1<<30 {
			conversions = conversions*31 + uint64(int32(v)) + uint64(int64(v))<<7
		}
		conversions = conversions*31 + uint64(math.Float32bits(float32(v))) + bits(float64(int64(conversions)>>11)) + bits(float64(conversions))
	}
	fmt.Printf("conversions %016x\n", conversions)
	sum := 0 + 0i
	for i, v := range values[24:] {
		z := complex(math.Mod(v, 10), float64(i%7)-3)
		sum += cmplx.Sqrt(z) + cmplx.Exp(z/20)*cmplx.Pow(z, 1i) + cmplx.Log(z)
	}
	fmt.Printf("complex %016x %016x\n", bits(real(sum)), bits(imag(sum)))
	// An orbit: errors of one bit would grow.
	x, y, vx, vy := 1.0, 0.0, 0.0, 1.1
	for i := 0; i < 100000; i++ {
		r := math.Sqrt(x*x + y*y)
		vx, vy = vx-x/(r*r*r)*1e-3, vy-y/(r*r*r)*1e-3
		x, y = x+vx*1e-3, y+vy*1e-3
	}
	fmt.Printf("orbit %016x %016x\n", bits(x), bits(y))
	logistic := 0.3
	for i := 0; i < 1000000; i++ {
		logistic = 3.999 * logistic * (1 - logistic)
	}
	fmt.Printf("chaos %016x\n", bits(logistic))
}
