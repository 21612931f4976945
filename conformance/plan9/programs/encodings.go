// Formats: JSON, XML, gob, CSV, binary, base64; templates; regular expressions; sorting; big numbers.
package main

import (
	"bytes"
	"encoding/ascii85"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/csv"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	html "html/template"
	"math/big"
	"math/rand"
	"os"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"text/tabwriter"
	"text/template"
	"unicode"
)

type item struct {
	Name    string             `json:"name" xml:"name,attr"`
	Count   int64              `json:"count,omitempty" xml:"count"`
	Price   float64            `json:"price" xml:"price"`
	Tags    []string           `json:"tags" xml:"tags>tag"`
	More    map[string]float64 `json:"more,omitempty" xml:"-"`
	Inner   *item              `json:"inner,omitempty" xml:"inner"`
	private int
}

func items() []item {
	random := rand.New(rand.NewSource(9))
	var all []item
	for i := 0; i < 40; i++ {
		each := item{Name: fmt.Sprintf("item %d <&\"ü\u2028>", i), Count: random.Int63() - random.Int63(), Price: random.NormFloat64() * 1e6}
		for k := 0; k < i%4; k++ {
			each.Tags = append(each.Tags, strconv.FormatInt(random.Int63(), 36))
		}
		if i%3 == 0 {
			each.More = map[string]float64{"z": random.ExpFloat64(), "a": float64(random.Float32()), "m": 1e-300}
			each.Inner = &item{Name: "in"}
		}
		all = append(all, each)
	}
	return all
}

func formats() {
	all := items()
	text, err := json.MarshalIndent(all, "", " ")
	fmt.Println(string(text), err)
	var back []item
	err = json.Unmarshal(text, &back)
	fmt.Println("json", reflect.DeepEqual(all, back), err)
	for _, wrong := range []string{`{"name": 1}`, `[1, 2`, `{"a" "b"}`, `"\ud800"`, `1e999`, `nul`} {
		var any interface{}
		fmt.Println(json.Unmarshal([]byte(wrong), &back), json.Unmarshal([]byte(wrong), &any), any)
	}
	text, err = xml.MarshalIndent(all[:5], "", " ")
	fmt.Println(string(text), err)
	var one item
	fmt.Println(xml.Unmarshal(text, &one), one.Name, one.Tags)

	var stream bytes.Buffer
	fmt.Println(gob.NewEncoder(&stream).Encode(all))
	back = nil
	size := stream.Len()
	fmt.Println("gob", gob.NewDecoder(&stream).Decode(&back), size, reflect.DeepEqual(all, back))

	stream.Reset()
	table := csv.NewWriter(&stream)
	for _, each := range all[:5] {
		table.Write([]string{each.Name, strconv.FormatFloat(each.Price, 'g', -1, 64), "a \"quoted\"\nline"})
	}
	table.Flush()
	rows, err := csv.NewReader(&stream).ReadAll()
	fmt.Printf("%q %v\n", rows, err)

	stream.Reset()
	type record struct {
		A uint8
		B int16
		C uint32
		D float64
		E [3]int8
		F complex64
	}
	before := record{1, -2, 3, 4.5, [3]int8{-1, 0, 1}, 1 - 2i}
	binary.Write(&stream, binary.BigEndian, before)
	fmt.Println(hex.EncodeToString(stream.Bytes()))
	var after record
	fmt.Println(binary.Read(&stream, binary.BigEndian, &after), after == before, binary.PutVarint(make([]byte, 10), -1<<60))

	data := []byte("any carnal pleas\x00\xff\xfe")
	fmt.Println(base64.StdEncoding.EncodeToString(data), base64.RawURLEncoding.EncodeToString(data), base32.HexEncoding.EncodeToString(data))
	code := make([]byte, ascii85.MaxEncodedLen(len(data)))
	fmt.Println(string(code[:ascii85.Encode(code, data)]))
	pem.Encode(os.Stdout, &pem.Block{Type: "SOMETHING", Headers: map[string]string{"A": "b"}, Bytes: bytes.Repeat(data, 5)})
	fmt.Print(hex.Dump(data))
}

func templates() {
	functions := template.FuncMap{"upper": strings.ToUpper, "square": func(n int) int { return n * n }}
	page := template.Must(template.New("page").Funcs(functions).Parse(
		`{{define "row"}}{{.Name | upper | printf "%-20s"}}|{{with .Inner}}{{.Name}}{{else}}-{{end}}|{{range $i, $t := .Tags}}{{if $i}}, {{end}}{{$t}}{{end}}
{{end}}{{range $i, $e := .}}{{square $i}} {{template "row" $e}}{{else}}nothing{{end}}{{len .}} {{index . 1 | printf "%T"}}
`))
	fmt.Println(page.Execute(os.Stdout, items()[:8]))
	safe := html.Must(html.New("safe").Parse(`<a href="/x?q={{.}}" onclick='f({{.}})' title={{.}}>{{.}}</a>` + "\n"))
	fmt.Println(safe.Execute(os.Stdout, `</a><script>alert("1" + 'x')</script>`))
	_, err := template.New("bad").Parse("{{range}}")
	fmt.Println(err)
	columns := tabwriter.NewWriter(os.Stdout, 5, 0, 2, '.', tabwriter.AlignRight|tabwriter.Debug)
	fmt.Fprintln(columns, "a\tbbbbbbb\tc\nlonger\tx\tünïcödé\t\n\t\tlast\t")
	columns.Flush()
}

func expressions() {
	var text strings.Builder
	random := rand.New(rand.NewSource(3))
	for i := 0; i < 3000; i++ {
		text.WriteByte("abcdefgh @.-:\n012349"[random.Intn(20)])
	}
	for _, each := range []string{
		`[a-h]+@[a-h]+`, `(\d+)([a-h])(\d*)`, `(?m)^[^:\n]*:`, `(a|ab)(c|bcd)*`, `\b\w{7,}\b`, `(?i)A.?B`, `[^\W\d]{6}`, `x*`, `((a*)*)*d$`,
	} {
		expression := regexp.MustCompile(each)
		found := expression.FindAllStringSubmatchIndex(text.String(), -1)
		fmt.Println(each, len(found), found[:len(found)%7])
	}
	fmt.Println(regexp.MustCompile(`(?P<year>\d{4})-(?P<month>\d\d)`).ReplaceAllString("from 2001-02 to 2003-04", "${month}/$year"))
	_, err := regexp.Compile(`(a`)
	fmt.Println(err, regexp.QuoteMeta("a.b*c"))
}

func sorting() {
	random := rand.New(rand.NewSource(5))
	numbers := random.Perm(20000)
	sort.Ints(numbers)
	fmt.Println(sort.IntsAreSorted(numbers), numbers[:5], sort.SearchInts(numbers, 777))
	type pair struct{ key, place int }
	var pairs []pair
	for i := 0; i < 5000; i++ {
		pairs = append(pairs, pair{random.Intn(50), i})
	}
	sort.SliceStable(pairs, func(i, k int) bool { return pairs[i].key < pairs[k].key })
	stable := sort.SliceIsSorted(pairs, func(i, k int) bool {
		return pairs[i].key < pairs[k].key || pairs[i].key == pairs[k].key && pairs[i].place < pairs[k].place
	})
	words := strings.FieldsFunc("the Quick brown-fox jumps Over the lazy Dog, Ünïcödé été", func(r rune) bool { return !unicode.IsLetter(r) })
	sort.Sort(sort.Reverse(sort.StringSlice(words)))
	fmt.Println(stable, words)
}

func numbers() {
	factorial := big.NewInt(1)
	for i := int64(1); i <= 300; i++ {
		factorial.Mul(factorial, big.NewInt(i))
	}
	fmt.Println(factorial)
	prime, _ := new(big.Int).SetString("170141183460469231731687303715884105727", 10)
	fmt.Println(prime.ProbablyPrime(20), new(big.Int).Exp(big.NewInt(3), factorial, prime), new(big.Int).ModInverse(big.NewInt(12345), prime))
	fmt.Println(new(big.Int).Sqrt(factorial), new(big.Rat).SetFrac64(355, 113).FloatString(40))
	root := new(big.Float).SetPrec(500).SetInt64(2)
	fmt.Println(root.Sqrt(root).Text('g', 140))
	for _, f := range []float64{0.1, 1e23, 5e-324, 1.7976931348623157e308, -0.0, 123456789.125, 1.0 / 3} {
		fmt.Print(strconv.FormatFloat(f, 'g', -1, 64), " ", strconv.FormatFloat(f, 'e', 17, 64), " ", strconv.FormatFloat(f, 'x', -1, 64), " ", float32(f), "; ")
	}
	for _, s := range []string{"1e400", "0x1p-2", "inf", "1_000", "2.2250738585072011e-308", "9007199254740993"} {
		f, err := strconv.ParseFloat(s, 64)
		fmt.Print(f, " ", err, "; ")
	}
	fmt.Printf("\n%+08.3f|%-10q|%#x|%v|%+v|%T|%08b|%U|%e|%x\n", 3.14159, "q", "hex", items()[2], struct{ A *int }{}, items, 77, 'ü', 1e-7, -1.5)
}

func main() {
	formats()
	templates()
	expressions()
	sorting()
	numbers()
}
