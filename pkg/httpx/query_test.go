package httpx

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
)

func TestQuery(t *testing.T) {
	readers := map[string]func(*gin.Context) (string, error){
		"int": func(c *gin.Context) (string, error) {
			n, err := QueryInt(c, "q", 7, 1, 100)
			return fmt.Sprint(n), err
		},
		"bool": func(c *gin.Context) (string, error) {
			b, err := QueryBool(c, "q")
			if b == nil {
				return "nil", err
			}
			return fmt.Sprint(*b), err
		},
		"time": func(c *gin.Context) (string, error) {
			at, err := QueryTime(c, "q")
			if at == nil {
				return "nil", err
			}
			return at.Format(time.RFC3339Nano), err
		},
		"text": func(c *gin.Context) (string, error) { return QueryText(c, "q", 5) },
	}
	tests := []struct{ kind, query, want string }{ // want "" = refused
		{"int", "", "7"}, {"int", "q=1", "1"}, {"int", "q=100", "100"}, {"int", "other=x", "7"},
		{"int", "q=0", ""}, {"int", "q=101", ""}, {"int", "q=-1", ""}, {"int", "q=1.5", ""}, {"int", "q=1e1", ""}, {"int", "q=x", ""},
		{"int", "q=", ""}, {"int", "q=1&q=2", ""}, {"int", "q=99999999999999999999", ""}, {"int", "q=%zz", ""}, {"int", "q=+1", ""}, {"int", "q=%20" + "1", ""},
		{"bool", "", "nil"}, {"bool", "q=true", "true"}, {"bool", "q=false", "false"}, {"bool", "q=1", ""}, {"bool", "q=TRUE", ""}, {"bool", "q=", ""},
		{"time", "", "nil"}, {"time", "q=2026-01-31", "2026-01-31T00:00:00Z"}, {"time", "q=2026-01-31T02:00:00%2B02:00", "2026-01-31T00:00:00Z"},
		{"time", "q=2026-01-31T02:00:00.1234567Z", "2026-01-31T02:00:00.123456Z"},
		{"time", "q=2026-01-31T02:00:00+02:00", ""}, {"time", "q=2026-13-01", ""}, {"time", "q=yesterday", ""}, {"time", "q=2026-01-31T02:00:00", ""}, {"time", "q=0000-01-01", ""},
		{"text", "q=abc", "abc"}, {"text", "q=%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9", "ééééé"},
		{"text", "q=abcdef", ""}, {"text", "q=a%00", ""}, {"text", "q=a%0a", ""}, {"text", "q=%ff", ""}, {"text", "q=%ed%a0%80", ""},
	}
	for _, tt := range tests {
		t.Run(tt.kind+" "+tt.query, func(t *testing.T) {
			c, _ := gin.CreateTestContext(httptest.NewRecorder())
			c.Request = httptest.NewRequest("GET", "/?"+tt.query, nil)
			got, err := readers[tt.kind](c)
			if tt.want == "" {
				if fields := fieldsOf(t, err); len(fields) != 1 {
					t.Errorf("got %q, fields %v", got, fields)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %q %v, want %q", got, err, tt.want)
			}
		})
	}
}
