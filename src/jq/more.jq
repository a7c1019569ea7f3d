# What jq has and jaq does not, or has otherwise.
def join($x): [.[] | if . == null then "" elif isboolean or isnumber then tojson else . end]
  | .[:-1][] += $x | reduce .[] as $item (""; . + $item);
def ltrimstr($x): if isstring and ($x | isstring) and startswith($x) then .[($x | length):] else . end;
def rtrimstr($x): if isstring and ($x | isstring) and endswith($x) then .[:length - ($x | length)] else . end;
def toarray: if isarray then . else [.] end;
def IN(s): . as $x | any(s; . == $x);
def IN(source; s): any(source; IN(s));
def INDEX(stream; f): reduce stream as $row ({}; .[$row | f | tostring] = $row);
def INDEX(f): INDEX(.[]; f);
def trimstr($x): ltrimstr($x) | rtrimstr($x);
def leaf_paths: paths(scalars);
def ascii: [.] | implode;
def __cell(quoted): if isstring then quoted elif . == null then "" elif isarray or isobject
  then error("a list or an object cannot be a cell") else tostring end;
def @csv: [.[] | __cell("\"" + gsub("\""; "\"\"") + "\"")] | join(",");
def @tsv: [.[] | __cell(gsub("\\\\"; "\\\\") | gsub("\t"; "\\t") | gsub("\n"; "\\n") | gsub("\r"; "\\r"))]
  | join("\t");
