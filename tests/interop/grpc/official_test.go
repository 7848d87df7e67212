package interop

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// officialCases gives the names that grpc-go's interop client takes, out of its source: the client
// is a program, whose list cannot be imported.
func officialCases(t *testing.T) []string {
	t.Helper()
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "google.golang.org/grpc")
	directory, err := list.Output()
	if err != nil {
		t.Fatalf("%v: %v", list, err)
	}
	source := filepath.Join(strings.TrimSpace(string(directory)), "interop", "client", "client.go")
	file, err := parser.ParseFile(token.NewFileSet(), source, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var cases []string
	ast.Inspect(file, func(node ast.Node) bool {
		if choice, found := node.(*ast.SwitchStmt); found && isTestCase(choice.Tag) {
			cases = append(cases, namesIn(t, choice)...)
		}
		return true
	})
	if len(cases) == 0 {
		t.Fatalf("%s has no switch *testCase any more: find its cases anew", source)
	}
	return cases
}

// isTestCase tells whether it is the client's flag that chooses the case.
func isTestCase(expression ast.Expr) bool {
	pointer, found := expression.(*ast.StarExpr)
	if !found {
		return false
	}
	name, found := pointer.X.(*ast.Ident)
	return found && name.Name == "testCase"
}

func namesIn(t *testing.T, choice *ast.SwitchStmt) []string {
	t.Helper()
	var names []string
	for _, statement := range choice.Body.List {
		for _, value := range statement.(*ast.CaseClause).List {
			literal, found := value.(*ast.BasicLit)
			if !found || literal.Kind != token.STRING {
				t.Fatalf("a case of grpc-go's interop client is no string: %v", value)
			}
			name, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
	}
	return names
}

// A case that is new in grpc-go must be run, or be left out for a reason that the page gives.
func TestListIsOfficial(t *testing.T) {
	known := map[string]bool{}
	add := func(name string) {
		if known[name] {
			t.Errorf("%s is listed twice", name)
		}
		known[name] = true
	}
	for _, one := range testCases {
		add(one.name)
	}
	table := "| case | needs |\n| --- | --- |\n"
	for _, one := range leftOut {
		add(one.name)
		table += "| " + one.name + " | " + one.needs + " |\n"
	}
	for _, name := range officialCases(t) {
		if !known[name] {
			t.Errorf("%s is official, but neither in testCases nor in leftOut", name)
		}
		delete(known, name)
	}
	for name := range known {
		t.Errorf("%s is no case of grpc-go's interop client", name)
	}
	compareWithPage(t, "interop-not-run", table)
}
