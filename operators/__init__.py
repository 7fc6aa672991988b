"""The operators, written out by hand: one file, one import, one word in the union."""

from typing import Annotated, get_args

from pydantic import Field

from operators.audit_mixture import AuditMixture
from operators.base import Operator
from operators.c4_quality import C4Quality
from operators.classify import Classify
from operators.cluster import Cluster
from operators.concordance_score import ConcordanceScore
from operators.corpus_stats import CorpusStats
from operators.decontaminate import Decontaminate
from operators.embed_documents import EmbedDocuments
from operators.exact_dedup import ExactDedup
from operators.extract_html import ExtractHtml
from operators.facility_location import FacilityLocation
from operators.fineweb_quality import FinewebQuality
from operators.fix_unicode import FixUnicode
from operators.gopher_quality import GopherQuality
from operators.gopher_repetition import GopherRepetition
from operators.ideal import Ideal
from operators.importance_resample import ImportanceResample
from operators.infer_mixture import InferMixture
from operators.init_embeddings import InitEmbeddings
from operators.k_center import KCenter
from operators.lang_per_line import LangPerLine
from operators.language_id import LanguageId
from operators.length import Length
from operators.length_buckets import LengthBuckets
from operators.line_dedup import LineDedup
from operators.line_rules import LineRules
from operators.mask_pii import MaskPii
from operators.minhash_dedup import MinhashDedup
from operators.mix import Mix
from operators.ngram_perplexity import NgramPerplexity
from operators.normalise_white_space import NormaliseWhiteSpace
from operators.paragraph_dedup import ParagraphDedup
from operators.remove_control_characters import RemoveControlCharacters
from operators.remove_lines import RemoveLines
from operators.romanise import Romanise
from operators.sample import Sample
from operators.script_share import ScriptShare
from operators.semantic_dedup import SemanticDedup
from operators.substring_dedup import SubstringDedup
from operators.train_classifier import TrainClassifier
from operators.train_ngram_model import TrainNgramModel
from operators.train_static_vectors import TrainStaticVectors
from operators.train_tokenizer import TrainTokenizer
from operators.trim_tokenizer import TrimTokenizer
from operators.url_filter import UrlFilter
from operators.vote_k import VoteK
from operators.word_list import WordList

AnyOperator = Annotated[
    AuditMixture
    | C4Quality
    | Classify
    | Cluster
    | ConcordanceScore
    | CorpusStats
    | Decontaminate
    | EmbedDocuments
    | ExactDedup
    | ExtractHtml
    | FacilityLocation
    | FinewebQuality
    | FixUnicode
    | GopherQuality
    | GopherRepetition
    | Ideal
    | ImportanceResample
    | InferMixture
    | InitEmbeddings
    | KCenter
    | LangPerLine
    | LanguageId
    | Length
    | LengthBuckets
    | LineDedup
    | LineRules
    | MaskPii
    | MinhashDedup
    | Mix
    | NgramPerplexity
    | NormaliseWhiteSpace
    | ParagraphDedup
    | RemoveControlCharacters
    | RemoveLines
    | Romanise
    | Sample
    | ScriptShare
    | SemanticDedup
    | SubstringDedup
    | TrainClassifier
    | TrainNgramModel
    | TrainStaticVectors
    | TrainTokenizer
    | TrimTokenizer
    | UrlFilter
    | VoteK
    | WordList,
    Field(discriminator="kind"),
]

OPERATORS: tuple[type[Operator], ...] = get_args(get_args(AnyOperator)[0])
